"""The benchmarks: of each its contestants, their roles, and what ours is to be."""

import json
from dataclasses import dataclass, field
from typing import Callable

import inputs
from contestants import BASE_BYTES, Contestant, alike
from outcome import Outcome
from rounds import Result, run_rounds
from sharing import Sharing, SharingDelta
from targets import AtMost, Faster, Figure, NearLimit, TimesBenchmark

BYTES_A_TENSOR = 400  # of memory, for what its name and place become

SIMDJSON = "safetensors on simdjson"
FLATBUFFERS = "FlatBuffers, LookupByKey"
KERNEL = "open, map, read the index"
TORCH_BIND = "torch.load(mmap=True), load_state_dict(assign=True)"
TORCH_OPENERS = ["torch.load", TORCH_BIND, "safetensors.load_file", "safetensors.safe_open"]
MOST_TUNED_MIB = 33  # one matrix, and what is said of all
COMPARE = "two threads that read both and compare"
WHOLE = "weightmap convert, whole"
RESAVE = "torch.load(mmap=True), safetensors.save_file"


@dataclass
class Benchmark:
    name: str
    what: str  # is done, for the table
    unit: str
    contestants: Callable  # of a Bench
    targets: tuple = field(default=())
    is_quick: bool = True

    def run(self, bench):
        results = run_rounds(self.contestants(bench), bench.rounds, bench.patience, bench.log)
        return Outcome(self.name, self.what, self.unit, results, self.targets)


# Opening, binding, looking up.


def served(bench, what, kind, count, files):
    """Contestants of bench_open, by {name: (role, suffix of its file)}."""
    paths = {suffix: bench.inputs.path(kind, count, suffix) for _, suffix in files.values() if suffix}
    server = bench.server(bench.program("bench_open"), what, kind, count, bench.inputs.folder)
    return [
        Contestant(name, role, lambda name=name: server.ask(name), reads=(paths[suffix],) if suffix else ())
        for name, (role, suffix) in files.items()
    ]


BINDERS = {
    "weightmap": ("ours", ".wmap"),
    KERNEL: ("limit", ".wmap"),
    SIMDJSON: ("rival", ".safetensors"),
    FLATBUFFERS: ("rival", ".table"),
}
FINDERS = {
    "weightmap": ("ours", ".wmap"),
    "names compared at known places": ("limit", ".wmap"),
    "std::unordered_map": ("rival", ""),
    SIMDJSON: ("rival", ".safetensors"),
    FLATBUFFERS: ("rival", ".table"),
}


def torch_files(bench, kind, count):
    """What the rivals from PyPI read: (stem, files)."""
    files = tuple(bench.inputs.path(kind, count, suffix) for suffix in (".pt", ".safetensors"))
    return files[0].with_suffix(""), files


def opening(what, kind, count, torch=(), torch_when_quick=False):
    def contestants(bench):
        scaled = bench.count(count)
        found = served(bench, what, kind, scaled, FINDERS if what == "find" else BINDERS)
        if not torch or (bench.is_quick and not torch_when_quick):
            return alike(found, takes_bytes=BASE_BYTES + scaled * BYTES_A_TENSOR)
        stem, files = torch_files(bench, kind, scaled)
        found += bench.torch_warm(torch, stem, reads=files)
        return alike(found, takes_bytes=files[0].stat().st_size + BASE_BYTES)

    return contestants


def starting(kind, count):
    """Whole processes, from exec until every tensor is bound and the process is gone."""

    def contestants(bench):
        scaled = bench.count(count)
        weight_file = bench.inputs.path(kind, scaled, ".wmap")
        stem, files = torch_files(bench, kind, scaled)
        attach = [bench.program("attach"), "weightmap", weight_file]
        found = [
            bench.process("weightmap, C++ process", "ours", *attach, runs=10, reads=(weight_file,)),
            bench.process("an empty C++ process", "limit", bench.program("empty"), runs=10),
            *bench.torch_processes(TORCH_OPENERS, stem, reads=files),
        ]
        return alike(found, takes_bytes=files[0].stat().st_size + BASE_BYTES)

    return contestants


def inspecting(bench):
    count = bench.count(300)
    weight_file = bench.inputs.path("experts", count, ".wmap")
    stem, files = torch_files(bench, "experts", count)
    command = [bench.weightmap, "inspect", weight_file]
    return [
        bench.process("weightmap inspect", "ours", *command, runs=20, reads=(weight_file,)),
        bench.process("an empty C++ process", "limit", bench.program("empty"), runs=20),
        *bench.torch_processes(["safetensors.safe_open, names only"], stem, reads=files),
    ]


# Writing.


def copying(source, target, is_durable):
    if is_durable:
        return ["sh", "-c", 'cp "$0" "$1" && sync "$1"', source, target]
    return ["cp", source, target]


def copiers(bench, source, is_durable):
    """The rival and the limit of everything that writes a file as large as its source."""
    target = bench.scratch / "copy"
    rival = copying(source, target, is_durable)
    bare = [bench.program("limit"), "copy-sync" if is_durable else "copy", source, target]
    return [
        bench.process("cp, sync" if is_durable else "cp", "rival", *rival, output=target),
        bench.process("two threads that copy, no hash", "limit", *bare, output=target),
    ]


def writing(bench, source, ours, is_durable=False, more=()):
    found = [ours, *copiers(bench, source, is_durable), *more]
    return alike(found, reads=(source,), takes_bytes=source.stat().st_size + BASE_BYTES, writes=True)


def converting(is_durable):
    def contestants(bench):
        source = bench.inputs.path("matrices", bench.matrices(2), ".pt")
        target, name = bench.scratch / "out.wmap", "weightmap convert" + ("" if is_durable else " --no-sync")
        command = [bench.weightmap, "convert", source, target] + ([] if is_durable else ["--no-sync"])
        ours = bench.process(name, "ours", *command, output=target)
        return writing(bench, source, ours, is_durable, () if is_durable else resavers(bench, source))

    return contestants


def resavers(bench, source):
    stem, output = source.with_suffix(""), [bench.scratch / "resaved.safetensors"]
    processes = [] if bench.is_quick else bench.torch_processes([RESAVE], stem, output)
    return bench.torch_warm([RESAVE], stem, output) + processes


def converting_tiny(bench):
    count = bench.count(100_000)
    source, target = bench.inputs.path("experts", count, ".pt"), bench.scratch / "out.wmap"
    command = [bench.weightmap, "convert", source, target]
    more = [bench.process("the same with --no-sync", "also", *command, "--no-sync", output=target)]
    if not bench.is_quick:
        resaved = [bench.scratch / "resaved.safetensors"]
        more += bench.torch_warm(["torch.load", RESAVE], source.with_suffix(""), resaved)
    return writing(bench, source, bench.process("weightmap convert", "ours", *command, output=target), True, more)


def exporting(suffix):
    def contestants(bench):
        source, target = bench.inputs.path("matrices", bench.matrices(2), ".wmap"), bench.scratch / f"out{suffix}"
        command = [bench.weightmap, "export", source, target, "--no-sync"]
        return writing(bench, source, bench.process("weightmap export --no-sync", "ours", *command, output=target))

    return contestants


def adopting(bench):
    source = bench.inputs.path("sparse", bench.matrices(5), ".pt")
    target = bench.inputs.folder / "adopted.wmap"
    command = [bench.weightmap, "adopt", source, target, "--no-digest"]
    return [
        bench.process("weightmap adopt --no-digest", "ours", *command, output=target, writes=True),
        bench.process("the same with --no-sync", "also", *command, "--no-sync", output=target, writes=True),
        bench.process("weightmap --version", "limit", bench.weightmap, "--version"),
        *bench.torch_warm(["torch.load(mmap=True)"], source.with_suffix("")),
    ]


def converting_delta(bench):
    count, whole, delta = bench.matrices(4), bench.scratch / "out.wmap", bench.inputs.folder / "delta.wmap"
    tuned, base = (bench.inputs.path("matrices", count, suffix) for suffix in (".tuned.pt", ".wmap"))
    convert = [bench.weightmap, "convert", tuned]
    ours = [*convert, delta, "--base", base]  # which are to lie in one folder
    both, sized = {"reads": (tuned, base)}, {"tells_size": True}
    return alike(
        [
            bench.process("weightmap convert --base", "ours", *ours, output=delta, **sized, **both),
            bench.process("the same with --no-sync", "also", *ours, "--no-sync", output=delta, **sized, **both),
            bench.process(COMPARE, "limit", bench.program("limit"), "compare", tuned, base, **both),
            bench.process(WHOLE, "rival", *convert, whole, output=whole, reads=(tuned,), **sized),
        ],
        takes_bytes=tuned.stat().st_size + BASE_BYTES,
        writes=True,
    )


# Reading every byte, and none.


def verifying(bench):
    file = bench.inputs.path("matrices", bench.matrices(4), ".wmap")
    found = [
        bench.process("weightmap verify", "ours", bench.weightmap, "verify", file),
        bench.process("two threads that hash", "limit", bench.program("limit"), "hash", file),
        bench.process("sha256sum", "rival", "sha256sum", file),
        bench.process("cat > /dev/null", "also", "cat", file),
    ]
    return alike(found, reads=(file,))


def comparing(bench):
    count = bench.matrices(4)
    files = [bench.inputs.path("matrices", count, suffix) for suffix in (".wmap", ".again.wmap")]
    found = [
        bench.process("weightmap diff", "ours", bench.weightmap, "diff", *files),
        bench.process("weightmap --version", "limit", bench.weightmap, "--version"),
        bench.process("cmp", "rival", "cmp", *files),
    ]
    return alike(found, reads=files)


COPY_BY_CP = "the same of a copy made by cp"


def prefaulting(bench):
    count = bench.matrices(1)
    source, weight_file = (bench.inputs.path("matrices", count, suffix) for suffix in (".safetensors", ".wmap"))
    fresh, copy = bench.scratch / "fresh.wmap", bench.scratch / "copy.wmap"

    def convert():
        inputs.run(bench.weightmap, "convert", source, fresh, "--no-sync")

    def cp():
        copy.unlink(missing_ok=True)
        inputs.run("cp", weight_file, copy)

    found = [
        bench.attach("weightmap, bound and prefaulted", "ours", "prefault", fresh, rewrites=(convert,)),
        bench.attach(COPY_BY_CP, "rival", "prefault", copy, rewrites=(cp,)),
        bench.attach("mmap, MADV_POPULATE_READ", "limit", "populate", fresh, rewrites=(convert,)),
        bench.attach("mmap, a byte of each page", "also", "touch", fresh, rewrites=(convert,)),
        bench.attach("read() into memory", "rival", "read", fresh, rewrites=(convert,)),
    ]
    return alike(found, takes_bytes=weight_file.stat().st_size + BASE_BYTES, writes=True)


def cold_starting(bench):
    count = bench.matrices(4)
    file = bench.inputs.path("matrices", count, ".wmap")
    stem, files = torch_files(bench, "matrices", count)
    attach, size = bench.program("attach"), file.stat().st_size
    found = [
        bench.process("weightmap, bound and prefaulted", "ours", attach, "prefault", file, drops=(file,)),
        bench.process("cat > /dev/null", "limit", "cat", file, drops=(file,)),
        bench.process("mmap, a byte of each page", "rival", attach, "touch", file, drops=(file,)),
        *bench.torch_warm(["torch.load(mmap=True), touched", "safetensors.load_file, touched"], stem, drops=files),
    ]
    alike(found, takes_bytes=size)
    read = bench.process("read() into memory", "rival", attach, "read", file, drops=(file,), takes_bytes=2 * size)
    return [*found, read]


class Micro:
    """The parts by themselves. Google Benchmark takes the samples, and mixes their order."""

    name, is_quick, targets = "micro", False, ()

    def run(self, bench):
        options = [f"--benchmark_repetitions={bench.rounds}", "--benchmark_enable_random_interleaving=true"]
        options += ["--benchmark_format=json", "--benchmark_min_time=0.02"]
        results = {}
        for run in json.loads(inputs.run(bench.program("bench_micro"), *options))["benchmarks"]:
            if run["run_type"] == "iteration":
                result = results.setdefault(run["run_name"], Result(Contestant(run["run_name"], "also", None)))
                result.add({"seconds": run["real_time"] / 1e9})
        return Outcome(self.name, "the parts of open, bind and find", "us", list(results.values()))


BIND = "open, verify, bind all, close"
BENCHMARKS = [
    Benchmark("order-gpt2", f"{BIND}: GPT-2, 148 tensors", "us", opening("order", "gpt2", 12, TORCH_OPENERS)),
    Benchmark(
        "order-300",
        f"{BIND}: 300 tensors",
        "us",
        opening("order", "experts", 300, TORCH_OPENERS, True),
        (AtMost(28, "us"), Faster(1.5, SIMDJSON)),
    ),
    Benchmark(
        "order-1000",
        f"{BIND}: 1,000 tensors",
        "us",
        opening("order", "experts", 1_000, TORCH_OPENERS),
        is_quick=False,
    ),
    Benchmark(
        "order-10000",
        f"{BIND}: 10,000 tensors",
        "us",
        opening("order", "experts", 10_000, TORCH_OPENERS),
        is_quick=False,
    ),
    Benchmark(
        "order-100000",
        f"{BIND}: 100,000 tensors",
        "us",
        opening("order", "experts", 100_000, TORCH_OPENERS),
        (AtMost(4_500, "us"), Faster(4, SIMDJSON)),
    ),
    Benchmark(
        "order-500000",
        f"{BIND}: 500,000 tensors",
        "us",
        opening("order", "experts", 500_000),
        (TimesBenchmark(6, "order-100000"),),
        is_quick=False,
    ),
    Benchmark(
        "shuffled-100000",
        f"{BIND}: 100,000 tensors in another order than the file's",
        "us",
        opening("shuffled", "experts", 100_000),
        (AtMost(15_000, "us"),),
    ),
    Benchmark(
        "tree-100000",
        "open, verify, bind 100,000 slots in a tree of 120,000 modules, close",
        "us",
        opening("tree", "wide", 10_000, [TORCH_BIND]),
        (AtMost(20_000, "us"),),
    ),
    Benchmark(
        "find-100000",
        "look up one name among 100,000 in an open file",
        "ns",
        opening("find", "experts", 100_000),
        (AtMost(250, "ns"),),
    ),
    Benchmark("start-gpt2", "a process that binds GPT-2 and ends", "ms", starting("gpt2", 12), is_quick=False),
    Benchmark(
        "start-10000", "a process that binds 10,000 tensors and ends", "ms", starting("experts", 10_000), is_quick=False
    ),
    Benchmark("inspect-300", "a process that shows 300 tensors", "ms", inspecting, (NearLimit(1.5),)),
    Benchmark(
        "convert",
        "2 GiB .pt to a weight file, hashed, warm",
        "ms",
        converting(False),
        (Faster(2, "cp"), Faster(3, RESAVE), Figure("peak_mib", at_most=70)),
    ),
    Benchmark(
        "convert-sync",
        "the same until the disk has it",
        "ms",
        converting(True),
        (Faster(1.6, "cp, sync"), Figure("peak_mib", at_most=70)),
    ),
    Benchmark(
        "convert-tiny",
        ".pt of 100,000 tiny tensors to a weight file",
        "ms",
        converting_tiny,
        (AtMost(250, "ms"),),
    ),
    Benchmark(
        "export-pt",
        "2 GiB to .pt, digests and CRCs, warm",
        "ms",
        exporting(".pt"),
        (Faster(1.5, "cp"),),
    ),
    Benchmark(
        "export-safetensors",
        "2 GiB to safetensors, digests, warm",
        "ms",
        exporting(".safetensors"),
        (Faster(1.5, "cp"),),
    ),
    Benchmark(
        "delta",
        "a .pt of 4 GiB of which a fine-tune changed 1 %, against its base, warm",
        "ms",
        converting_delta,
        (NearLimit(2), Faster(1.5, WHOLE), Figure("written_mib", at_most=MOST_TUNED_MIB)),
    ),
    Benchmark("adopt", "an index over a .pt of 5 GiB", "ms", adopting, (AtMost(50, "ms"),)),
    Benchmark("verify", "4 GiB against their digests, warm", "ms", verifying, (NearLimit(1 / 0.8),)),
    Benchmark("diff", "two equal files of 4 GiB, both with digests", "ms", comparing, (AtMost(10, "ms"),)),
    Benchmark(
        "prefault",
        "map 1 GiB, warm, as its writer left it, and have every page there",
        "ms",
        prefaulting,
        (Faster(20, COPY_BY_CP), Figure("huge_share", at_least=0.98)),
    ),
    Benchmark(
        "cold",
        "map 4 GiB that are not in the cache, and have every page there",
        "ms",
        cold_starting,
        (NearLimit(1 / 0.95),),
    ),
    Sharing(),
    SharingDelta(),
    Micro(),
]
