"""Capture a small decoder under torch.profiler, as material for traceir.

The model is a decoder-only transformer of today's build: RMSNorm, grouped-query attention with rotary positions and
a key/value cache, SwiGLU. Its weights are random and its sizes tiny, for the shape of a trace does not depend on them.

    python capture_decoder.py --mode cpu -o decoder_cpu.json.gz           # anywhere
    python capture_decoder.py --mode graph -o decoder_graph.json.gz       # CUDA or ROCm

Modes: `cpu`; and with a GPU `eager`, `graph` (torch.cuda.graph replay), `compile` (torch.compile), `streams` (a second
stream with work beside the first). The GPU modes are taken only where torch.cuda.is_available().

A trace says where it was recorded; `scrub_trace.py` takes that out before the file is written, and nothing else.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from scrub_trace import write_scrubbed
from torch import Tensor, nn
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile, record_function, schedule


class RMSNorm(nn.Module):
    """Root-mean-square norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        scale = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
        return x * scale * self.weight


class Attention(nn.Module):
    """Grouped-query attention with rotary positions and a cache of fixed size."""

    def __init__(self, width: int, heads: int, kv_heads: int, length: int) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.size = heads, kv_heads, width // heads
        self.q_proj = nn.Linear(width, heads * self.size)
        self.k_proj = nn.Linear(width, kv_heads * self.size)
        self.v_proj = nn.Linear(width, kv_heads * self.size)
        self.o_proj = nn.Linear(heads * self.size, width, bias=False)
        self.length = length
        self.keys: Tensor
        self.values: Tensor
        self.register_buffer("keys", torch.zeros(1, kv_heads, length, self.size), persistent=False)
        self.register_buffer("values", torch.zeros(1, kv_heads, length, self.size), persistent=False)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], positions: Tensor, mask: Tensor) -> Tensor:
        """Attend from the new tokens to all cached ones."""
        batch, tokens, _ = x.shape
        q = self.q_proj(x).view(batch, tokens, self.heads, self.size).transpose(1, 2)
        k = self.k_proj(x).view(batch, tokens, self.kv_heads, self.size).transpose(1, 2)
        v = self.v_proj(x).view(batch, tokens, self.kv_heads, self.size).transpose(1, 2)
        q, k = rotate(q, *rotation), rotate(k, *rotation)
        self.keys.index_copy_(2, positions, k)
        self.values.index_copy_(2, positions, v)
        repeat = self.heads // self.kv_heads
        keys = self.keys.repeat_interleave(repeat, dim=1)
        values = self.values.repeat_interleave(repeat, dim=1)
        out = functional.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        result: Tensor = self.o_proj(out.transpose(1, 2).reshape(batch, tokens, -1))
        return result


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions."""
    half = x.shape[-1] // 2
    turned = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
    return x * cos + turned * sin


class SwiGLU(nn.Module):
    """Gated feed-forward block."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Gate, expand, contract."""
        result: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return result


class DecoderLayer(nn.Module):
    """One layer: norm, attention, norm, feed-forward, with residuals."""

    def __init__(self, width: int, heads: int, kv_heads: int, inner: int, length: int) -> None:
        super().__init__()
        self.input_norm = RMSNorm(width)
        self.self_attn = Attention(width, heads, kv_heads, length)
        self.post_norm = RMSNorm(width)
        self.mlp = SwiGLU(width, inner)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], positions: Tensor, mask: Tensor) -> Tensor:
        """Run the two blocks."""
        x = x + self.self_attn(self.input_norm(x), rotation, positions, mask)
        result: Tensor = x + self.mlp(self.post_norm(x))
        return result


class Decoder(nn.Module):
    """Embedding, layers, final norm and head."""

    def __init__(self, layers: int, width: int, vocabulary: int = 1024, length: int = 64) -> None:
        super().__init__()
        heads = 4
        self.length, self.size = length, width // heads
        self.embed = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList(DecoderLayer(width, heads, 2, 3 * width, length) for _ in range(layers))
        self.norm = RMSNorm(width)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        steps = 10000.0 ** -(torch.arange(0, self.size, 2) / self.size)
        angles = torch.outer(torch.arange(length).float(), steps)
        self.cos: Tensor
        self.sin: Tensor
        self.register_buffer("cos", torch.cat((angles, angles), -1).cos(), persistent=False)
        self.register_buffer("sin", torch.cat((angles, angles), -1).sin(), persistent=False)

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Logits of the last token."""
        rotation = self.cos[positions], self.sin[positions]
        reach = torch.arange(self.length, device=tokens.device)
        mask = reach[None, :] <= positions[:, None]
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x, rotation, positions, mask)
        result: Tensor = self.lm_head(self.norm(x[:, -1:]))
        return result


class Runner:
    """Runs prefill and decode steps of a model in one of the modes."""

    def __init__(self, mode: str, layers: int, width: int, prompt: int) -> None:
        self.device = torch.device("cpu" if mode == "cpu" else "cuda")
        self.mode, self.prompt = mode, prompt
        self.dtype = torch.float32 if mode == "cpu" else torch.bfloat16
        torch.manual_seed(0)
        self.model = Decoder(layers, width).to(self.device, self.dtype).eval()
        self.token = torch.zeros(1, 1, dtype=torch.long, device=self.device)
        self.position = torch.zeros(1, dtype=torch.long, device=self.device)
        self.forward: Callable[[Tensor, Tensor], Tensor] = self.model
        self.side = torch.cuda.Stream() if mode == "streams" else None  # type: ignore[no-untyped-call]
        self.graph: torch.cuda.CUDAGraph | None = None
        if mode == "compile":
            self.forward = torch.compile(self.model, mode="reduce-overhead")

    def prefill(self) -> None:
        """Compute the prompt; always eager, as serving engines do."""
        tokens = torch.randint(0, 1024, (1, self.prompt), device=self.device)
        positions = torch.arange(self.prompt, device=self.device)
        self.token.copy_(self.model(tokens, positions).argmax(-1))
        self.position.fill_(self.prompt)

    def decode(self) -> int:
        """Compute one token and wait for it."""
        if self.graph is not None:
            self.graph.replay()
        else:
            self.step()
        return int(self.token.item())

    def step(self) -> None:
        """The device work of a decode step; in mode `streams` with other work beside it, as a collective would run."""
        if self.side is not None:
            self.side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.side):
                block = torch.randn(2048, 2048, device=self.device, dtype=self.dtype)
                (block @ block).sum()
        self.token.copy_(self.forward(self.token, self.position).argmax(-1))
        self.position.add_(1)
        if self.side is not None:
            torch.cuda.current_stream().wait_stream(self.side)

    def warm_up(self) -> None:
        """Run each kind of step until nothing is compiled or allocated any more; record the graph."""
        self.prefill()
        for _ in range(3):
            self.step()
        if self.mode == "graph":
            torch.cuda.synchronize()
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.step()
        self.position.fill_(self.prompt)


def capture(mode: str, layers: int, width: int, steps: int, prompt: int, stack: bool, target: Path) -> None:
    """Profile one prefill and `steps` decode steps and write the trace, scrubbed, to `target`."""
    runner = Runner(mode, layers, width, prompt)
    activities = [ProfilerActivity.CPU]
    if mode != "cpu":
        activities.append(ProfilerActivity.CUDA)
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        runner.warm_up()
        raw = Path(folder) / "trace.json"
        with profile(
            activities=activities,
            schedule=schedule(wait=0, warmup=1, active=steps + 1, repeat=1),
            record_shapes=True,
            with_stack=stack,
            with_modules=stack,
            on_trace_ready=lambda profiler: profiler.export_chrome_trace(str(raw)),
        ) as profiler:
            runner.prefill()
            profiler.step()
            runner.prefill()
            profiler.step()
            for _ in range(steps):
                with record_function("decode"):
                    runner.decode()
                profiler.step()
        write_scrubbed(raw.read_text(encoding="utf-8"), target)


def main() -> int:
    """Capture as the command line says."""
    parser = argparse.ArgumentParser(description="Capture a small decoder under torch.profiler.")
    parser.add_argument("--mode", choices=["cpu", "eager", "graph", "compile", "streams"], default="cpu")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--steps", type=int, default=2, help="decode steps; one prefill step comes before them")
    parser.add_argument("--prompt", type=int, default=16, help="tokens of the prompt")
    parser.add_argument("--stack", action=argparse.BooleanOptionalAction, default=True, help="frames and modules")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a .json.gz file")
    given = parser.parse_args()
    if given.mode != "cpu" and not torch.cuda.is_available():
        parser.error(f"The mode {given.mode} needs a GPU, and torch finds none; use --mode cpu.")
    torch.set_num_threads(1)
    capture(given.mode, given.layers, given.width, given.steps, given.prompt, given.stack, given.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
