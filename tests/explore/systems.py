"""The mixers of published systems (docs/algebra.md) at sizes that a Jacobian can be taken of."""

from __future__ import annotations

# System -> (sentence, channels, grid).
SYSTEMS: dict[str, tuple[str, int, tuple[int, ...]]] = {
    "self-attention": ("att(lin,lin,lin)@h(4) >> lin", 8, (4, 4)),
    "FFNified attention": ("conv(lin,#3) -> gelu -> conv(#3)", 4, (8, 8)),
    "ConvNeXt channel mixer": ("dw(3) >> dot0(x,#3C) -> gelu -> mm(#3C)", 4, (8, 8)),
    "token MLP": ("(dot0(x,#2C) -> gelu -> mm(#2C))@T", 4, (3, 4)),
    "GLU gate": ("had(lin >> sig, lin)", 4, (4, 4)),
    "MemoryFormer": ("dot0(x,#cube(4)) -> softmax -> top(1) -> mm(#16) @ hsum(C/4)", 8, (4, 4)),
    "GhostNetV2": (
        "let y = lin(C/2) >> relu in (y ++ (dw(3,y) >> relu)) * (pool(/2) >> lin >> dw(1x5) >> dw(5x1) >> sig >> up)",
        4, (12, 12),
    ),
    "Hopfield": ("let k=lin in att(att(lin,k,k),k,lin)@h(4) >> lin", 8, (4, 4)),
    "Hopfield pooling": ("att(#1,lin,lin)@h(4) >> lin", 8, (4, 4)),
    "Hopfield look-up": ("att(lin,#16,#16)@h(4) >> lin", 8, (4, 4)),
    "AFF": ("x + (x * (clin(g=4) >> crelu >> clin(g=4) >> shrink))@fft", 8, (4, 4)),
    "Sparsifiner": (
        "let q=lin,k=lin in att(q,k,lin)"
        "@top(N/4, dot(lin(C/2,q), tok(N/4,lin(C/2,k))) -> softmax -> mm(#N/4,c=N))@h(4) >> lin",
        8, (4, 4),
    ),
    "OverLoCK": (
        "let v=lin, s=dot(lin(C/2), pool(4) >> lin(C/2))@h(4) in ([.5: (s -> mm(#16,c=9)) -> rel -> softmax"
        " -> mm(v)@N(3)@h(4) | (s -> mm(#16,c=25)) -> rel -> softmax -> mm(v)@N(5)@h(4)] >> lin) + dw(3) >> se >> lin",
        16, (8, 8),
    ),
    "BiFormer": (
        "let q=lin,k=lin,v=lin in att(q,k,v)@top(4, dot(pool(4,q),pool(4,k)))@h(4) + dw(3,v) >> lin", 8, (8, 8),
    ),
    "MoH": ("(lin(4) >> softmax >> top(2) >> l1) * att(lin,lin,lin)@h(4) >> lin", 8, (4, 4)),
    "DSF": ("(dot(lin,lin) -> mm(lin))@causal@h(4) * (lin(4) >> neg >> exp) >> lin", 8, (16,)),
    "SSA": ("att(lin,lin,lin)@rand(.25)@h(4) >> lin", 8, (4, 4)),
    "Landmark": (
        "let q=lin,k=lin in (dot(q,k) -> softmax[blk(4)] -> times(dot(q,last(k)@blk(4)) -> softmax)"
        " -> mm(lin))@h(4) >> lin",
        8, (16,),
    ),
    "Flowformer": ("(dot0(lin >> sig, lin >> sig) -> flow -> mm(lin))@h(4) >> lin", 8, (4, 4)),
    "Graph Transformer": ("(dot(lin,lin) -> times(ctx(e)) -> softmax -> mm(lin))@adj@h(4) >> lin", 8, (16,)),
    "DependencyViT": (
        "let p=lin(4) >> softmax, m=lin(C/2) >> gelu >> lin(1) >> sig in"
        " (dot(lin,lin) -> softmax[q] -> mm(p * m * lin))@h(4) >> lin",
        8, (4, 4),
    ),
    "Lightning": (
        "((dot0(lin >> silu, lin >> silu) -> decay -> mm(lin >> silu))@causal@h(4) >> norm)"
        " * (lin(4) >> lin(D) >> sig) >> lin",
        8, (16,),
    ),
    "InLine": (
        "let v=lin in (dot(lin,lin) -> center -> mm(v))@h(4)"
        " + ((pool(1) >> lin(g=4) >> gelu >> lin(9C,g=4)) -> mm(v))@N(3,zero)@h(C) >> lin",
        8, (4, 4),
    ),
    "NATTEN": ("(dot(lin,lin) -> rel -> softmax -> mm(lin))@N(3)@h(4) >> lin", 8, (8, 8)),
    "GNA": ("att(lin,lin,lin)@N(2,s=2,d=2)@h(4) >> lin", 8, (8, 8)),
    "Agent": ("let q=lin,k=lin,v=lin,a=pool(2,q) in att(q,a,att(a,k,v))@h(4) + dw(3,v) >> lin", 8, (4, 4)),
    "Att-SwinU-Net": ("att(lin,lin(ctx),lin(ctx))@h(4) >> lin", 8, (4, 4)),
    "MEDUSA": ("x * ((x ++ ctx) >> dw(3) >> lin(D) >> sig)", 8, (4, 4)),
    "DaViT": (
        "x + dw(3) >> res(norm >> att(lin,lin,lin)@h(4)@win(4) >> lin) >> res(norm >> ffn(4)) >> x + dw(3)"
        " >> res(norm >> (let q=lin,k=lin,v=lin in att(q,k,v)@T@h(4)) >> lin) >> res(norm >> ffn(4))",
        8, (8, 8),
    ),
    "SHViT": ("[.25: gn >> att(lin(4),lin(4),lin) | x] >> relu >> lin", 8, (4, 4)),
    "CCA": (
        "let q=lin,k=lin, c=att(last(q),k,x)@blk(4) in"
        " (dot(q, lin(c)@lag(8) & k@(N(8))) -> softmax -> mm(lin(c) & lin))@h(4) >> lin",
        8, (16,),
    ),
    "Hedgehog": ("(dot0(lin >> lin(g=4) >> hh(4), lin >> lin(g=4) >> hh(4)) -> l1 -> mm(lin))@h(4) >> lin", 8, (4, 4)),
    "MaxViT": (
        "res(norm >> lin(4C) >> gelu >> dw(3) >> gelu >> se >> lin(D))"
        " >> res(norm >> att(lin,lin,lin)@h(4)@win(4) >> lin)"
        " >> res(norm >> ffn(4)) >> res(norm >> att(lin,lin,lin)@h(4)@grid(4) >> lin) >> res(norm >> ffn(4))",
        8, (8, 8),
    ),
    "S2-Attn": (
        "let q=lin,k=lin,v=lin in [.5: att(q,k,v)@h(2)@win(8) | att(q,k,v)@h(2)@win(8)@roll(4)] >> lin", 8, (32,),
    ),
    "Zoology BaseConv": ("x + dw(3) * lin", 8, (16,)),
    "S2 sharded heads": ("att(lin,lin,lin)@(N(4)|stride(4))@causal@h(4) >> lin", 8, (16,)),
    "GIN": (".5 * x + att(lin,lin,x)@h(4) >> lin(2C,g=4) >> norm >> silu >> lin(D,g=4)", 8, (4, 4)),
    "PNA": (
        "let s=(dot(lin,lin) -> softmax)@causal@h(4), v=lin, m=s -> mm(v) in"
        " m ++ (s -> max(v)) ++ ((s -> mm(sq(v))) - sq(m)) >> lin(2D) >> silu >> lin(D)",
        8, (16,),
    ),
    "CATANet": (
        "let c=#4,q=lin,k=lin,v=lin in att(q,k,v)@N(8,s=4)@sort(c)@h(4) + att(q,lin(c),lin(c))@h(4) >> lin", 8, (16,),
    ),
    "Routing": (
        "let c=#4,q=lin,k=lin,v=lin in [.5: att(q,k,v)@N(8)@h(2) | att(q,k,v)@clus(c,4)@h(2)] >> lin", 8, (16,),
    ),
    "ELA": ("x * (pool(Hx1) >> dw(3x1) >> gn(4) >> sig) * (pool(1xW) >> dw(1x3) >> gn(4) >> sig)", 8, (6, 5)),
    "sigmoid attention": ("(dot(lin,lin) -> sig -> mm(lin))@h(4) >> lin", 8, (4, 4)),
    "sink slots": ("let k=lin,v=lin in (dot(lin, #4 & k) -> softmax -> mm(#4 & v))@h(4) >> lin", 8, (4, 4)),
    "HaloNet": ("att(lin,lin,lin)@N(4,s=2)@h(4) >> lin", 8, (8, 8)),
    "LongHeads": (
        "let q=lin,k=lin,v=lin, c=att(pool(1,att(q,k,v)),k,k)@blk(4) in"
        " att(q,k,v)@(first(4)|N(4)|top(2,dot(q,c)@h(4)))@causal@h(4) >> lin",
        8, (16,),
    ),
    "AGUNet": ("x * ((lin(C/2,ctx) ++ lin(C/2)) >> relu >> lin(1) >> sig)", 8, (2, 4, 2)),
    "DAUNet": (
        "x + att0(lin(C/4),lin(C/4),lin) >> x + (dot0(x,x) -> softmax[q] -> mm(x))@T", 8, (2, 3, 2),
    ),
    "NiNformer": ("lin * (res(norm >> ffn(2)@T) >> res(norm >> ffn(2)))", 4, (3, 4)),
    "TransNeXt": (
        "let p=pool(2) in (dot(lin, lin@N(3) & lin(p)) -> softmax -> mm(lin & lin(p)))@h(4) >> lin", 8, (6, 6),
    ),
    "axial": ("let q=lin,k=lin,v=lin in att(q,k,v)@N(6x1)@h(4) + att(q,k,v)@N(1x6)@h(4) >> lin", 8, (6, 6)),
    "3-D neighbourhood": ("att(lin,lin,lin)@N(3)@h(4) >> lin", 8, (6, 5, 6)),
}  # fmt: skip
