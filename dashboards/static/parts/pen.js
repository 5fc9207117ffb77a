// Two pens with the same strokes: one draws on a canvas, one writes SVG, so that what is exported is what is seen.

export function canvasPen(context) {
  return {
    style({ stroke, fill, width = 1.4, alpha = 1, dash = [] }) {
      context.globalAlpha = alpha;
      context.lineWidth = width;
      context.strokeStyle = stroke ?? "transparent";
      context.fillStyle = fill ?? "transparent";
      context.setLineDash(dash);
    },
    path(points, closed = false) {
      context.beginPath();
      points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
      if (closed) context.closePath();
      if (closed) context.fill();
      context.stroke();
    },
    circle(x, y, r) {
      context.beginPath();
      context.arc(x, y, r, 0, 2 * Math.PI);
      context.fill();
      context.stroke();
    },
    dot(x, y, size) { context.fillRect(x - size / 2, y - size / 2, size, size); },
    text(x, y, words, align = "left") {
      context.font = "11px system-ui, sans-serif";
      context.textAlign = align;
      context.textBaseline = "middle";
      context.fillText(words, x, y);
    },
  };
}

const clean = (text) => String(text).replace(/[<>&"]/g, (letter) => ({ "<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;" })[letter]);
const short = (value) => Number(value.toFixed(2));

export function svgPen(width, height) {
  const parts = [];
  let style = "";
  let ink = "#000";
  return {
    style({ stroke, fill, width: line = 1.4, alpha = 1, dash = [] }) {
      ink = fill ?? stroke;
      style = `stroke="${stroke ?? "none"}" fill="${fill ?? "none"}" stroke-width="${line}" opacity="${alpha}"${dash.length ? ` stroke-dasharray="${dash.join(" ")}"` : ""}`;
    },
    path(points, closed = false) {
      const d = points.map(([x, y], i) => `${i ? "L" : "M"}${short(x)} ${short(y)}`).join("") + (closed ? "Z" : "");
      parts.push(`<path d="${d}" ${closed ? style : style.replace(/fill="[^"]*"/, 'fill="none"')}/>`);
    },
    circle(x, y, r) { parts.push(`<circle cx="${short(x)}" cy="${short(y)}" r="${r}" ${style}/>`); },
    dot(x, y, size) { parts.push(`<rect x="${short(x - size / 2)}" y="${short(y - size / 2)}" width="${size}" height="${size}" fill="${ink}"/>`); },
    text(x, y, words, align = "left") {
      const anchor = { left: "start", right: "end", center: "middle" }[align];
      parts.push(`<text x="${short(x)}" y="${short(y + 4)}" font-family="system-ui, sans-serif" font-size="11" text-anchor="${anchor}" fill="${ink}">${clean(words)}</text>`);
    },
    done: () => `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${parts.join("")}</svg>`,
  };
}

// Marks differ by shape and by whether they are filled, not by colour alone.
export function drawMark(pen, mark, x, y, r) {
  if (mark === "diamond") pen.path([[x, y - r], [x + r, y], [x, y + r], [x - r, y]], true);
  else if (mark === "circle" || mark === "ring") {
    pen.circle(x, y, r);
    if (mark === "ring") pen.circle(x, y, r * 0.35);
  } else if (mark === "square") pen.path([[x - r, y - r], [x + r, y - r], [x + r, y + r], [x - r, y + r]], true);
  else if (mark === "triangle") pen.path([[x - r, y - 0.8 * r], [x + r, y - 0.8 * r], [x, y + r]], true);
  else if (mark === "cross") {
    pen.path([[x - r, y - r], [x + r, y + r]]);
    pen.path([[x - r, y + r], [x + r, y - r]]);
  } else if (mark === "dash") pen.path([[x - r, y], [x + r, y]]);
  else if (mark === "star") {
    const points = Array.from({ length: 10 }, (_, i) => {
      const angle = (Math.PI * i) / 5 - Math.PI / 2, reach = i % 2 ? r * 0.45 : r;
      return [x + reach * Math.cos(angle), y + reach * Math.sin(angle)];
    });
    pen.path(points, true);
  }
}
