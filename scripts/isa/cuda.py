"""Metal's language, as naga writes it, to C++ for clang's CUDA half: text for text, around metal.cuh."""

import re

ENTRY = re.compile(r"kernel void main_\(\n(.*?)\n\) \{", re.S)
PARAMETER = re.compile(r"(threadgroup|device|constant)?\s*([\w:]+)\s*(const)?\s*&?\s*(\w+)")


def cuda(text: str) -> str:
    text = re.sub(r"#include.*\n", "", text).replace("using metal::uint;\n", "")
    text = re.sub(r"\[\[[^\]]*\]\]", "", text)
    text = re.sub(r"(?:metal::|(?<![\w:]))(uint|int)([234])\(", r"make_\1\2(", text)
    text = re.sub(r"metal::float([34])\(", r"make_float\1(", text)
    text = re.sub(r"static_cast<metal::(\w+)>\(", r"convert<metal::\1>(", text)
    # Constants, then functions.
    text = re.sub(r"^constant (\w[\w:]*) (\w+) = ", r"static constexpr \1 \2 = ", text, flags=re.M)
    text = re.sub(r"static constexpr (metal::\w+) (\w+) = make_\w+\((.*)\);", r"static constexpr \1 \2 = {\3};", text)
    text = re.sub(r"^((?!struct|typedef|static|#|\}|using|//|kernel)[\w:]+ \w+\()", r"FN \1", text, flags=re.M)
    entry = ENTRY.search(text)
    declared, shared, given = [], [], []
    for line in entry[1].split("\n"):
        space, kind, const, name = PARAMETER.match(line.strip().lstrip(",").strip()).groups()
        if space == "threadgroup":
            shared.append(f"__attribute__((__shared__)) static {kind} {name};")
        elif name == "chunk":
            declared.append(f"{kind} {name}")  # a uniform, which lies in constant memory
        elif space:
            declared.append(f"{'const ' if const or space == 'constant' else ''}{kind}* __restrict__ {name}")
        given.append(f"*{name}" if space in ("device", "constant") and name != "chunk" else name)
    text = re.sub(r"^.*kernel void main_\(", "FN void main_(", text, flags=re.M)
    return f"""#include "metal.cuh"
{text}
extern "C" __attribute__((__global__)) void kernel({', '.join(declared)}) {{
    metal::uint3 group = {{(uint)__nvvm_read_ptx_sreg_ctaid_x(), (uint)__nvvm_read_ptx_sreg_ctaid_y(), 0}};
    uint lane = __nvvm_read_ptx_sreg_tid_x();
    {' '.join(shared)}
    main_({', '.join(given)});
}}
"""
