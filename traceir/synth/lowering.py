"""Lowering of a step: the plan of the model becomes host rows, runtime calls and device rows, eager or replayed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import attrs

from traceir.synth.model import COMM, MAIN, Enter, Leave, Node, Run, decoder_plan
from traceir.synth.options import Decoder
from traceir.synth.program import Id, Launch, Program, Row, Sync, dims_args
from traceir.synth.vocabulary import Op, Vocabulary

PID = 4121
DECODE_TOKENS, PREFILL_TOKENS = 32, 1024
STREAMS = {"nvidia": (7, 20), "amd": (3, 5)}
_CBID = {
    "cudaLaunchKernel": 211, "cudaLaunchKernelExC": 430, "cuLaunchKernel": 307, "cuLaunchKernelEx": 652,
    "cudaMemcpyAsync": 41, "cudaEventRecord": 135, "cudaStreamWaitEvent": 147, "cudaStreamSynchronize": 131,
    "cudaGraphLaunch": 311, "cudaMalloc": 20, "cudaStreamIsCapturing": 317, "hipLaunchKernel": 107,
    "hipExtLaunchKernel": 71, "hipModuleLaunchKernel": 169, "hipExtModuleLaunchKernel": 74, "hipMemcpyAsync": 134,
    "hipMemcpyWithStream": 153, "hipEventRecord": 65, "hipStreamWaitEvent": 200, "hipStreamSynchronize": 196,
    "hipGraphLaunch": 215, "hipMalloc": 130, "hipStreamIsCapturing": 290,
}  # fmt: skip
_CHATTER = (
    "torch/nn/modules/module.py(1951): __getattr__",
    "<built-in function isinstance>",
    "decoder/forward_context.py(217): get_forward_context",
    "<built-in method size of Tensor object at 0x7f2d681d0910>",
    "torch/_jit_internal.py(106): is_scripting",
    "<frozen abc>(117): __instancecheck__",
    "torch/nn/modules/module.py(1938): __getattr__",
)


def serving_mark(prefill: bool) -> str:
    """The annotation that a serving engine puts around a step: how many tokens it computes of which kind."""
    if prefill:
        return f"execute_context_1({PREFILL_TOKENS})_generation_0(0)"
    return f"execute_context_0(0)_generation_{DECODE_TOKENS}({DECODE_TOKENS})"


@attrs.define
class Lowering:
    """Builds the program of one kind of step."""

    options: Decoder
    prefill: bool
    replay: bool
    stalled: bool
    program: Program = attrs.field(init=False)
    runs: list[int] = attrs.field(factory=list)
    """The launch of every run of the plan."""

    def __attrs_post_init__(self) -> None:
        self.program = Program(PID, PID)

    @property
    def tokens(self) -> int:
        """Tokens that the step computes."""
        return PREFILL_TOKENS if self.prefill else DECODE_TOKENS

    def api(self, what: str) -> str:
        """A runtime call's name with the vendor's prefix."""
        return ("hip" if self.options.vendor == "amd" else "cuda") + what

    def step(self) -> Program:
        """The whole step: inputs in, the model, sampling, tokens out; under a mark where the options ask for one."""
        options, program = self.options, self.program
        words = Vocabulary(options, self.tokens)
        with ExitStack() as stack:
            mark = self._mark(stack)
            if options.stack:
                stack.enter_context(program.frame("decoder/engine.py(412): execute_model"))
            self._eager([Run(words.copy_in(), MAIN, (), -1)], first=True)
            nodes = decoder_plan(options, self.tokens)
            if self.replay:
                self._replayed(nodes)
            else:
                self._eager(nodes)
            after = () if not self.runs or not options.comm_stream or options.tensor_parallel == 1 else (self.runs[-1],)
            self._launch_eager(words.sample(), MAIN, after, -1)
            self._tokens_out(words.copy_out())
        self._twins(mark)
        return program

    def orphans(self) -> Program:
        """The tail of an earlier forward pass: device rows alone."""
        options = self.options
        first = options.layers - options.orphan_layers
        runs = [node for node in decoder_plan(options, DECODE_TOKENS) if isinstance(node, Run)]
        start = next(n for n, run in enumerate(runs) if run.layer >= first)
        index: dict[int, int] = {}
        for number, run in enumerate(runs[start:], start):
            after = tuple(index[other] for other in run.after if other in index)
            correlation = self.program.count("correlation")
            launch = Launch(run.op, run.stream, 0, correlation, after, False, run.layer, orphan=True)
            index[number] = self._device_row(launch, external=None)
        return self.program

    def _mark(self, stack: ExitStack) -> tuple[Row, int, int] | None:
        """Opens the step's mark; the name's parts, its external id and its first host instant."""
        options, program = self.options, self.program
        if options.marks == "none":
            return None
        external = program.count("external")
        begin = program.now(2_000)
        name: Row = ('"ProfilerStep#', Id("step", 0), '"')
        if options.marks == "serving":
            name = (f'"{serving_mark(self.prefill)}"',)

        def close() -> None:
            end = program.now(1_500)
            args: Row = ('"External id": ', Id("external", external), ',"Record function id": 0, "Ev Idx": ')
            row = program.span("user_annotation", name, PID, PID, ("host", begin), ("host", end),
                               (*args, Id("ev", program.count("ev"))))  # fmt: skip
            program.host_rows.append(row)

        stack.callback(close)
        return name, external, begin

    def _twins(self, mark: tuple[Row, int, int] | None) -> None:
        """The mark's projections on the streams, from the first to the last device work of the step there."""
        if mark is None:
            return
        name, external, _ = mark
        for stream in (MAIN, COMM):
            mine = [n for n, launch in enumerate(self.program.launches) if launch.stream == stream]
            if mine:
                row = self.program.span(
                    "gpu_user_annotation", name, self.options.device, self._tid(stream), ("start", mine[0]),
                    ("end", mine[-1]), ('"External id": ', Id("external", external)),
                )  # fmt: skip
                self.program.device_rows.append(row)

    def _tid(self, stream: int) -> int:
        return STREAMS[self.options.vendor][stream]

    def _eager(self, nodes: Sequence[Node], first: bool = False) -> None:
        """Every run launched by its own host ops inside the modules' frames."""
        open_modules: list[ExitStack] = []
        halfway = sum(isinstance(node, Run) for node in nodes) // 2
        numbers = range(len(self.runs), len(self.runs) + len(nodes))
        base, seen = numbers.start, 0
        for node in nodes:
            if isinstance(node, Enter):
                open_modules.append(self._module(node))
            elif isinstance(node, Leave):
                open_modules.pop().close()
            else:
                if seen == halfway and not first:
                    self._stall()
                after = tuple(self.runs[base + number] for number in node.after)
                self.runs.append(self._launch_eager(node.op, node.stream, after, node.layer))
                seen += 1

    def _module(self, node: Enter) -> ExitStack:
        stack = ExitStack()
        if self.options.stack:
            if self.options.modules:
                stack.enter_context(self.program.frame(f"nn.Module: {node.module}_{node.instance}", node.instance))
            stack.enter_context(self.program.frame("torch/nn/modules/module.py(1779): _call_impl"))
            stack.enter_context(self.program.frame(f"decoder/{node.module.lower()}.py(46): forward"))
        return stack

    def _stall(self) -> None:
        """Stop the host: in Python code alone, or in a blocking runtime call."""
        if not self.stalled:
            return
        program, options = self.program, self.options
        program.stall_call = len(program.launches)
        if options.stall == "blocking":
            with program.op("aten::empty", dims_args(((4096, 4096), (), ())) if options.shapes else ""):
                name = self.api("Malloc")
                program.call(name, self._number(name), options.stall_ns)
        elif options.stack:
            with program.frame("<built-in function collect>", cost=options.stall_ns // 2):
                pass
        else:
            program.now(options.stall_ns)

    def _chatter(self) -> None:
        """The small frames that a Python stack has everywhere."""
        launched = len(self.program.launches)
        for number in range(self.options.frames if self.options.stack else 0):
            with self.program.frame(_CHATTER[(launched + number) % len(_CHATTER)], cost=120):
                pass

    def _launch_eager(self, op: Op, stream: int, after: tuple[int, ...], layer: int) -> int:
        """The chatter before an op, its nest of host ops, the waits, and the launching call."""
        program, options = self.program, self.options
        self._chatter()
        with ExitStack() as stack:
            if op.collective and options.all_reduce == "nccl":
                label = "nccl:all_reduce" if op.collective == "allreduce" else "nccl:_all_gather_base"
                stack.enter_context(program.op(label, category="user_annotation"))
            for depth, name in enumerate(op.host):
                args = dims_args(op.dims) if options.shapes else ""
                if name == "record_param_comms":
                    args = self._collective_args(op) + f'"Rank": {options.rank}, ' + args
                stack.enter_context(program.op(name, args))
                if depth == 0:
                    for aside in op.asides:
                        with program.op(aside, args, cost=700):
                            pass
            for other in after:
                if program.launches[other].stream != stream and not program.launches[other].replayed:
                    self._wait(other, stream)
            if options.memory and op.kind == "compute":
                program.memory(8192 * self.tokens, options.device, 1 << 34)
            return self._call(op, stream, after, layer)

    def _call(self, op: Op, stream: int, after: tuple[int, ...], layer: int) -> int:
        program = self.program
        driver = op.call.startswith("cu") and not op.call.startswith("cuda")
        text = ""
        if self.options.vendor == "amd" and op.kind != "memory":
            text = ', "grid": [304, 1, 1], "block": [256, 1, 1], "shared memory": 0'
        begin, _, correlation = program.call(
            op.call, self._number(op.call), 4_600, driver=driver, extra=text, launches=True
        )
        launch = Launch(op, stream, begin, correlation, after, False, layer)
        external = program.externals[-1] if program.externals else None
        return self._device_row(launch, external)

    def _wait(self, other: int, stream: int) -> None:
        """An event recorded behind `other` and awaited by `stream`."""
        program = self.program
        record, wait = self.api("EventRecord"), self.api("StreamWaitEvent")
        _, _, recorded = program.call(record, self._number(record), 1_400)
        begin, end, correlation = program.call(wait, self._number(wait), 1_500)
        if self.options.sync_rows:
            self._sync_row("Stream Wait Event", stream, begin, end, correlation, recorded, other)

    def _sync_row(
        self, name: str, stream: int, begin: int, end: int, correlation: int, recorded: int | None, other: int
    ) -> None:
        options = self.options
        waited = self._tid(self.program.launches[other].stream)
        args: Row = (f'"cuda_sync_kind": "{name}", ',)
        if recorded is not None:
            args = (*args, f'"wait_on_stream": {waited}, "wait_on_cuda_event_record_corr_id": ',
                    Id("correlation", recorded), ', "wait_on_cuda_event_id": 9, ')  # fmt: skip
        args = (*args, f'"stream": {self._tid(stream)}, "correlation": ', Id("correlation", correlation),
                f', "device": {options.device}, "context": 1')  # fmt: skip
        self.program.device_rows.append(self.program.span(
            "cuda_sync", (f'"{name}"',), options.device, self._tid(stream), ("host", begin), ("host", end), args
        ))  # fmt: skip

    def _replayed(self, nodes: Sequence[Node]) -> None:
        """All runs of the plan from one graph launch."""
        program = self.program
        if self.options.stack:
            stack = ExitStack()
            stack.enter_context(program.frame("torch/cuda/graphs.py(88): replay"))
        else:
            stack = ExitStack()
        with stack:
            self._stall()
            capturing = self.api("StreamIsCapturing")
            program.call(capturing, self._number(capturing), 500)
            runs = [node for node in nodes if isinstance(node, Run)]
            name = self.api("GraphLaunch")
            cost = 60_000 + 500 * len(runs)
            begin, _, correlation = program.call(name, self._number(name), cost, launches=True)
        base = len(self.runs)
        graph = program.count("graph")
        for node_id, run in enumerate(runs):
            after = tuple(self.runs[base + number] for number in run.after)
            launch = Launch(run.op, run.stream, begin, correlation, after, True, run.layer)
            self.runs.append(self._device_row(launch, external=None, graph=graph, node=node_id))

    def _tokens_out(self, op: Op) -> None:
        """The copy of the sampled tokens and, with `sync`, the call that waits for it."""
        program, options = self.program, self.options
        index = self._launch_eager(op, MAIN, (), -1)
        if not options.sync:
            return
        if options.vendor == "amd":
            returns = program.launches[index].call + 1
        else:
            name = self.api("StreamSynchronize")
            begin, returns, correlation = program.call(name, self._number(name), 3_000)
            if options.sync_rows:
                self._sync_row("Stream Sync", MAIN, begin, returns, correlation, None, index)
        program.syncs.append(Sync(returns, index))

    def _number(self, name: str) -> str:
        return f'"{"cid" if self.options.vendor == "amd" else "cbid"}": {_CBID[name]}'

    def _collective_args(self, op: Op) -> str:
        """What the communication metadata says of a collective, the same on the host op and on the kernel."""
        if not op.collective:
            return ""
        size = self.options.tensor_parallel
        out = op.elements * size if op.collective == "_allgather_base" else op.elements
        ranks = ", ".join(str(rank) for rank in range(size))
        return (
            f'"Collective name": "{op.collective}", "In msg nelems": {op.elements}, "Out msg nelems": {out}, '
            f'"Group size": {size}, "dtype": "BFloat16", "In split size": "[]", "Out split size": "[]", '
            f'"Process Group Name": "2", "Process Group Description": "tp", "Process Group Ranks": "[{ranks}]", '
        )

    def _device_row(self, launch: Launch, external: int | None, graph: int | None = None, node: int = 0) -> int:
        options, op = self.options, launch.op
        stream = self._tid(launch.stream)
        nvidia = options.vendor == "nvidia"
        args: Row = () if external is None else ('"External id": ', Id("external", external), ", ")
        where = f'"device": {options.device}, ' + ('"context": 1, ' if nvidia else "") + f'"stream": {stream}, '
        if op.kind == "memory":
            speed = op.copied / op.ns
            kind = "" if nvidia else f', "kind": "{"HtoD" if "HtoD" in op.kernel else "DtoH"}"'
            tail = f'{kind}, "bytes": {op.copied}, "memory bandwidth (GB/s)": {speed:.6f}'
            category = "gpu_memcpy"
        elif nvidia:
            tail = (', "registers per thread": 96, "shared memory": 24576, "blocks per SM": 2.424242, '
                    '"warps per SM": 9.696970, "grid": [320, 1, 1], "block": [128, 1, 1], '
                    '"est. achieved occupancy %": 31')  # fmt: skip
            where, category = '"queued": 0, ' + where, "kernel"
        else:
            shape = "" if launch.replayed else ', "grid": [304, 1, 1], "block": [256, 1, 1]'
            tail = f', "kind": "{"Dispatch Task" if launch.replayed else "Dispatch Kernel"}"{shape}'
            category = "kernel"
        if not launch.replayed:
            tail += (", " + self._collective_args(op)).rstrip(", ")
        row: Row = (*args, where, '"correlation": ', Id("correlation", launch.correlation), tail)
        if graph is not None and options.graph_ids and nvidia:
            row = (*row, f', "graph id": 1, "graph node id": {node}')
        return self.program.work(launch, stream, options.device, category, row)
