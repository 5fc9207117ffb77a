// Where data comes from: the server, or what is embedded in the file. Both answer the same questions.

async function ask(path, parameters) {
  const query = new URLSearchParams(parameters).toString();
  let answer;
  try {
    answer = await fetch(query ? `${path}?${query}` : path, { cache: "no-store" });
  } catch {
    throw Object.assign(new Error("The dashboard does not answer."), { away: true, advice: "Is metamixer dashboard still running? The page goes on by itself when it is back." });
  }
  const text = await answer.text();
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw Object.assign(new Error(text.trim() || `The dashboard answers ${answer.status}.`), { code: answer.status });
  }
  if (!answer.ok || value.error) throw Object.assign(new Error(value.error), { place: value.place, advice: value.advice, code: answer.status });
  return value;
}

function fromServer() {
  const remembered = new Map();
  const once = (path, parameters) => {
    const name = `${path} ${JSON.stringify(parameters)}`;
    if (!remembered.has(name)) {
      const asked = ask(path, parameters);
      remembered.set(name, asked);
      asked.catch(() => remembered.delete(name));
    }
    return remembered.get(name);
  };
  return {
    live: true,
    runs: () => ask("/runs", {}),
    data: (run, since, generation) => ask("/data", { run, since, generation }),
    texts: (run) => ask("/texts", { run }),
    architecture: (run, number, mark) => once(`/architecture/${encodeURIComponent(number)}`, { run, mark }),
    more: (path, parameters = {}) => once(path, parameters),
    fresh: (path, parameters = {}) => ask(path, parameters),
  };
}

function fromFile(embedded) {
  const lacking = async () => { throw Object.assign(new Error("This is not inside the file."), { advice: "Open the run with metamixer dashboard." }); };
  return {
    live: false,
    runs: async () => ({ place: "this file", runs: embedded.runs }),
    data: async (run, since) => (since < 0 ? embedded.data : { revision: embedded.data.revision, generation: embedded.data.generation }),
    texts: async () => embedded.data.texts,
    architecture: async (run, number) => embedded.architectures[number] ?? lacking(),
    more: async (path) => embedded.more[path] ?? lacking(),
    fresh: async (path) => embedded.more[path] ?? lacking(),
  };
}

export function openSource() {
  const inside = document.getElementById("embedded");
  return inside ? fromFile(JSON.parse(inside.textContent)) : fromServer();
}
