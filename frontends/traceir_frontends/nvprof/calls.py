"""Runtime and driver calls by the numbers that the profiling library gives them; files hold nothing but these."""

from __future__ import annotations

from typing import Final

RUNTIME: Final = {
    10: "cudaGetLastError", 11: "cudaPeekAtLastError", 13: "cudaLaunch", 16: "cudaSetDevice", 17: "cudaGetDevice",
    20: "cudaMalloc", 22: "cudaFree", 31: "cudaMemcpy", 32: "cudaMemcpy2D", 33: "cudaMemcpyToArray",
    34: "cudaMemcpy2DToArray", 35: "cudaMemcpyFromArray", 36: "cudaMemcpy2DFromArray", 37: "cudaMemcpyArrayToArray",
    38: "cudaMemcpy2DArrayToArray", 39: "cudaMemcpyToSymbol", 40: "cudaMemcpyFromSymbol", 41: "cudaMemcpyAsync",
    42: "cudaMemcpyToArrayAsync", 43: "cudaMemcpyFromArrayAsync", 44: "cudaMemcpy2DAsync",
    45: "cudaMemcpy2DToArrayAsync", 46: "cudaMemcpy2DFromArrayAsync", 47: "cudaMemcpyToSymbolAsync",
    48: "cudaMemcpyFromSymbolAsync", 49: "cudaMemset", 50: "cudaMemset2D", 51: "cudaMemsetAsync",
    52: "cudaMemset2DAsync", 126: "cudaThreadSynchronize", 131: "cudaStreamSynchronize",
    134: "cudaEventCreateWithFlags", 135: "cudaEventRecord", 137: "cudaEventSynchronize", 139: "cudaEventElapsedTime",
    142: "cudaMemset3D", 143: "cudaMemset3DAsync", 144: "cudaMemcpy3D", 145: "cudaMemcpy3DAsync",
    147: "cudaStreamWaitEvent", 160: "cudaMemcpyPeer", 161: "cudaMemcpyPeerAsync", 162: "cudaMemcpy3DPeer",
    163: "cudaMemcpy3DPeerAsync", 165: "cudaDeviceSynchronize", 211: "cudaLaunchKernel", 214: "cudaLaunchKernel",
    215: "cudaMemcpy", 216: "cudaMemcpy2D", 225: "cudaMemcpyAsync", 228: "cudaMemcpy2DAsync", 233: "cudaMemset",
    235: "cudaMemsetAsync", 239: "cudaStreamSynchronize", 247: "cudaStreamWaitEvent",
    269: "cudaLaunchCooperativeKernel", 270: "cudaLaunchCooperativeKernel",
    272: "cudaLaunchCooperativeKernelMultiDevice", 284: "cudaLaunchHostFunc", 285: "cudaLaunchHostFunc",
    310: "cudaGraphInstantiate", 311: "cudaGraphLaunch", 312: "cudaGraphLaunch", 317: "cudaStreamIsCapturing",
    430: "cudaLaunchKernelExC", 431: "cudaLaunchKernelExC",
}  # fmt: skip
"""Those that start or await work, or are frequent; the per-thread variants have the plain name."""
DRIVER: Final = {
    307: "cuLaunchKernel", 442: "cuLaunchKernel", 477: "cuLaunchCooperativeKernel", 478: "cuLaunchCooperativeKernel",
    514: "cuGraphLaunch", 515: "cuGraphLaunch", 652: "cuLaunchKernelEx", 653: "cuLaunchKernelEx",
    418: "cuMemcpyAsync", 421: "cuMemcpyHtoDAsync", 422: "cuMemcpyDtoHAsync", 423: "cuMemcpyDtoDAsync",
    436: "cuStreamWaitEvent", 440: "cuStreamSynchronize",
}  # fmt: skip
