"""Public names of calls and backward nodes, by the words that the CUDA, HIP and PyTorch APIs make theirs of."""

from __future__ import annotations

import re
from typing import Final

_API: Final = re.compile(r"(?:cuda|hip|cu)([A-Z][A-Za-z0-9]*)(?:_v\d{1,5}|_spt|_ptsz|_ptds){0,2}", re.ASCII)
_WORD: Final = re.compile(r"[A-Z][a-z]+|[A-Z]+(?![a-z])|[a-z]+|[0-9]+")
_API_WORDS: Final = """
    0000 0600 1 2 3 8 16 32 64
    A Access Active Add Address Advise Affinity Alignment Alloc Allocation And Anisotropy Api Argument Array Async
    At Ato Attach Attr Attribute Attributes Available Batch Begin Bias Binary Bind Block Blocks Border Buffer Bus
    By C CU Cache Call Callback Can Capability Capture Capturing Channel Checkpoint Child Choose Clamp Clone Close
    Cluster Clusters Col Color col Complete Compute Conditional Config Configure Contains Cooperative Copy Core Count
    Create Ctx Current D Data Debug Default Dependencies Dependent Desc Descriptor Destroy Dev Device Devices
    Direct Disable Discard Domain Dot Driver Drv Dto Dump Dynamic EGL Edges Elapsed Empty Enable Enabled Encode
    End Entry Enumerate Error Event Ex Exchange Exec Execution Exit Export Ext External Fabric Fat File Filter
    Find Flags Flush For Format Free From Func Function Functions GL GPU Get Global Granularity Graph Graphics
    Green H Handle Handles Hcc Hop Host Hto Id Im Image Import In Info Init Initialize Instantiate Instantiated
    Into Ipc Is Kernel L Last Launch Legacy Level Library Limit Linear Link Load Loading Location Locations Lock
    Logs Luid Malloc Managed Map Mapped Mask Max Mem Memcpy Memory Memset Mip Mipmap Mipmapped Mode Module Multi
    Multicast Multiprocessor Name Node Nodes Nv Obj Object Occupancy Offset Op Open Output P PCI Pageable Param
    Params Peek Peer Per Persisting Pitch Plane Point Pointer Pool Pop Potential Prefetch Primary Print Priority
    Proc Process Profiler Properties Ptr Push Query R RDMA Range Record Ref Reference Register Regular Release
    Remove Replace Requirements Reserve Reset Resource Resources Restore Retain Root Runtime S Sci Semaphore
    Semaphores Set Setup Shareable Shared Signal Size Sm Source Sparse Split Stack Start State Stop Stream String
    Sub Surface Symbol Sync Synchronize Table Tensor Tex Texture Thread Tiled Time To Total Trim Type U Unaligned
    Unbind Unified Unload Unlock Unmap Unregister Update Upload User Uuid V VDPAU Valid Value Variable Version
    View Wait Width With Write Writes
"""
_API_PARTS: Final = frozenset(_API_WORDS.split())
"""The words of which the names of the CUDA runtime, the CUDA driver and HIP consist."""

_BACKWARD: Final = re.compile(r"([A-Z][A-Za-z0-9]*?)(?:Backward){1,2}(?:AutogradNestedTensor)?[0-9]")
_NODES: Final = """
    Abs Acos Acosh AdaptiveAvgPool2D AdaptiveAvgPool3D AdaptiveMaxPool2D AdaptiveMaxPool3D Add Addbmm Addcdiv
    Addcmul Addmm Addmv Addr AffineGridGenerator Alias Amax Amin Aminmax Angle AsStrided AsStridedScatter Asin
    Asinh Atan Atan2 Atanh AvgPool2D AvgPool3D Baddbmm BatchNorm BatchNormNoUpdate BatchNormWithUpdate Bernoulli
    BinaryCrossEntropy BinaryCrossEntropyWithLogits BlockDiag Bmm Cat Cauchy Cdist Ceil Celu ChannelShuffle
    Cholesky CholeskyInverse CholeskySolve Chunk Clamp ClampMax ClampMin Clone Coalesce Col2Im Complex Conj
    ConjPhysical ConstantPadNd ConvDepthwise2D ConvDepthwise3D ConvTbc Convolution ConvolutionBackwardOverrideable
    ConvolutionOverrideable Copysign Cos Cosh CtcLoss CudnnAffineGridGenerator CudnnAttention CudnnBatchNorm
    CudnnConvolution CudnnConvolutionTranspose CudnnCtcLoss CudnnGridSampler CudnnRnn Cummax Cummin Cumprod Cumsum
    Deg2Rad DiagEmbed Diagonal DiagonalScatter Digamma Dist Div Dot EfficientAttention Elu Embedding EmbeddingBag
    EmbeddingBagDense EmbeddingDense EmbeddingRenorm Eq Erf Erfc Erfinv EuclideanDist Exp Exp2 Expand Expm1
    Exponential FakeQuantizeLearnablePerChannelAffine FakeQuantizeLearnablePerTensorAffine
    FakeQuantizePerChannelAffineCachemask FakeQuantizePerTensorAffineCachemask
    FakeQuantizePerTensorAffineCachemaskTensorQparams FftC2C FftC2R FftR2C Fill FlashAttention Flip Floor Fmax
    Fmin Fmod ForeachAbs ForeachAcos ForeachAdd ForeachAddcdiv ForeachAddcmul ForeachAsin ForeachAtan ForeachCeil
    ForeachClampMax ForeachClampMin ForeachClone ForeachCos ForeachCosh ForeachDiv ForeachErf ForeachErfc
    ForeachExp ForeachExpm1 ForeachFloor ForeachFrac ForeachLerp ForeachLgamma ForeachLog ForeachLog10
    ForeachLog1P ForeachLog2 ForeachMax ForeachMaximum ForeachMinimum ForeachMm ForeachMul ForeachNeg ForeachNorm
    ForeachPow ForeachReciprocal ForeachRound ForeachRsqrt ForeachSigmoid ForeachSign ForeachSin ForeachSinh
    ForeachSqrt ForeachSub ForeachTan ForeachTanh ForeachTrunc Frac FractionalMaxPool2D FractionalMaxPool3D Frexp
    FusedDropout FusedMovingAvgObsFqHelper FusedRmsNorm Gather Ge Gelu Geometric Geqrf Glu GridSampler2D
    GridSampler2DCpuFallback GridSampler3D GroupedMm Gt Hardshrink Hardsigmoid Hardswish Hardtanh HuberLoss Hypot
    I0 Igamma Igammac Im2Col Index IndexAdd IndexCopy IndexFill IndexPut IndexPutImpl IndexReduce IndexSelect
    Kthvalue LazyClone Ldexp Le LeakyRelu Lerp Lgamma Lift LiftFresh LinalgCholeskyEx LinalgCross LinalgDet
    LinalgEig LinalgEigh LinalgHouseholderProduct LinalgInvEx LinalgLstsq LinalgLu LinalgLuFactorEx LinalgLuSolve
    LinalgMatrixExp LinalgPinv LinalgQr LinalgSlogdet LinalgSolveEx LinalgSolveTriangular LinalgSvd
    LinalgVectorNorm Linear Log Log10 Log1P Log2 LogNormal LogSigmoid LogSoftmax LogSoftmaxBackwardData Logaddexp
    Logaddexp2 Logcumsumexp Logit Logsumexp LstmMps Lt LuUnpack MaskedFill MaskedScatter MaskedSelect
    MaskedSoftmax Matmul Max MaxPool2D MaxPool2DWithIndices MaxPool3DWithIndices MaxUnpool2D MaxUnpool3D Maximum
    Mean Median Min Minimum MiopenBatchNorm MiopenConvolution MiopenConvolutionTranspose MiopenCtcLoss
    MiopenDepthwiseConvolution MiopenRnn Mish MkldnnAdaptiveAvgPool2D MkldnnConvolution MkldnnLinear
    MkldnnMaxPool2D MkldnnMaxPool3D MkldnnReshape MkldnnRnnLayer Mm Mode MpsConvolution MpsConvolutionTranspose
    MseLoss Mul MultiMarginLoss MultilabelMarginLoss Mv Mvlgamma NanToNum Nanmedian Nansum NarrowCopy
    NativeBatchNorm NativeBatchNormLegit NativeBatchNormLegitNoTraining NativeDropout NativeGroupNorm
    NativeLayerNorm Ne Neg NegView NestedFromPadded NestedFromPaddedTensor NestedGetValues NestedTensorFromMask
    NestedTensorFromTensorList NestedViewFromBuffer NestedViewFromJagged Nextafter NllLoss NllLoss2D
    NnpackSpatialConvolution Norm Normal Ormqr PackPaddedSequence Pdist Permute PinMemory PixelShuffle
    PixelUnshuffle Poisson Polar Polygamma Pow PreluKernel Prod Put Rad2Deg Random Reciprocal ReflectionPad1D
    ReflectionPad2D ReflectionPad3D Relu Remainder Renorm Repeat ReplicationPad1D ReplicationPad2D
    ReplicationPad3D ReshapeAlias ReshapeCopy Roll Rot90 Round RreluWithNoise RreluWithNoiseFunctional Rsqrt Rsub
    SafeSoftmax ScaledDotProductCudnnAttention ScaledDotProductEfficientAttention ScaledDotProductFlashAttention
    ScaledDotProductFlashAttentionForCpu ScaledDotProductFusedAttentionOverrideable Scatter ScatterAdd
    ScatterReduce SegmentReduce Select SelectScatter Sgn Sigmoid Sign Silu Sin Sinc Sinh Slice SliceInverse
    SliceScatter SlowConv2D SlowConv3D SlowConvDilated2D SlowConvDilated3D SlowConvTranspose2D SlowConvTranspose3D
    SmoothL1Loss SoftMarginLoss Softmax SoftmaxBackwardData Softplus Softshrink Sort SparseAddmm
    SparseCompressedTensor SparseCooTensorWithDimsAndTensors SparseLogSoftmax SparseMask SparseMmReduceImpl
    SparseSampledAddmm SparseSoftmax SparseSparseMatmul SparseSum SpecialEntr SpecialErfcx SpecialI0E SpecialI1
    SpecialI1E SpecialLogNdtr SpecialNdtri SpecialXlog1Py SpecialZeta Split SplitWithSizes Sqrt Squeeze Stack
    StandardGamma StandardGammaGrad Std StdMean Sub Sum T Take Tan Tanh ThnnFusedGruCell ThnnFusedLstmCell
    Threshold ToCopy ToDense ToMkldnn ToPaddedTensor ToSparse ToSparseBsc ToSparseBsr ToSparseCsc ToSparseCsr Topk
    Trace Transpose TriangularSolve Tril Trilinear Triu Trunc Unbind Unfold Uniform Unique Unique2
    UniqueConsecutive UniqueDim UniqueDimConsecutive UnsafeIndex UnsafeIndexPut UnsafeMaskedIndex
    UnsafeMaskedIndexPutAccumulate UnsafeSplit UnsafeSplitWithSizes UnsafeView Unsqueeze UpsampleBicubic2D
    UpsampleBicubic2DAa UpsampleBilinear2D UpsampleBilinear2DAa UpsampleLanczos2DAa UpsampleLinear1D
    UpsampleNearest1D UpsampleNearest2D UpsampleNearest3D UpsampleNearestExact1D UpsampleNearestExact2D
    UpsampleNearestExact3D UpsampleTrilinear3D Values Var VarMean Vdot View ViewAsComplex ViewAsReal
    WeightNormInterface Where Xlogy Zero
"""
_DIFFERENTIABLE: Final = frozenset(_NODES.split())
"""The functions of which PyTorch's own autograd has a backward node, as these are spelled."""


def is_api(text: str) -> bool:
    """Whether a text is `cuda`, `cu` or `hip`, then words of these APIs only, then suffixes as their versions have."""
    found = _API.fullmatch(text)
    return found is not None and all(word in _API_PARTS for word in _WORD.findall(found[1]))


def is_backward(text: str) -> bool:
    """Whether a text is the name of one of PyTorch's own backward nodes, like `AddmmBackward0`."""
    found = _BACKWARD.fullmatch(text)
    return found is not None and found[1] in _DIFFERENTIABLE
