"""The backend node tests that the torch executor does not pass, each with its reason.

Two lists: operators that have no entry and no function body we could use, so that their models are refused by name; and
cases of operators in the table, by name (shell patterns).
"""

OPERATORS_WITHOUT_ENTRY = {
    "training: the service trains by itself": {"Adagrad", "Adam", "Momentum"},
    "classical machine learning": {"ArrayFeatureExtractor", "Binarizer", "LabelEncoder", "TreeEnsemble"},
    "strings": {"RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer"},
    "sequences and optional values": {
        "OptionalGetElement", "OptionalHasElement", "SequenceInsert", "SequenceLength", "SequenceMap",
        "SplitToSequence",
    },
    "graphs within graphs": {"If", "Loop", "Scan"},
    "recurrent": {"GRU", "LSTM", "RNN"},
    "bits": {"BitCast", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor"},
    "random": {"RandomUniformLike"},
    "signals and images": {"DFT", "ImageDecoder", "MelWeightMatrix", "STFT"},
    "integer arithmetic, which is what comes out of the service": {"ConvInteger", "QLinearConv", "QLinearMatMul"},
    "not met in the models that the service is for": {
        "Col2Im", "Compress", "CumProd", "DeformConv", "Det", "FlexAttention", "GridSample", "LpPool", "MaxUnpool",
        "NonMaxSuppression", "ReverseSequence", "RoiAlign", "TensorScatter", "Unique",
    },
}  # fmt: skip

_NARROW_TYPES = "numbers of 8 bits with an exponent, and of fewer than 8 bits: torch does not compute with them"

EXCLUDED_CASES = {
    _NARROW_TYPES: (
        "test_cast*FLOAT8*", "test_cast*FLOAT4*", "test_cast*INT4*", "test_cast*INT2*", "test_cast*_e8m0_*",
        "test_dequantizelinear_e4m3fn*", "test_dequantizelinear_e5m2", "test_dequantizelinear_*int[24]",
        "test_dequantizelinear_float4e2m1", "test_quantizelinear_e4m3fn", "test_quantizelinear_e5m2",
        "test_quantizelinear_*int[24]", "test_quantizelinear_float4e2m1",
    ),
    "torch has these types, but no arithmetic for them": (
        "test_*_uint16", "test_*_uint32", "test_*_uint64", "test_*_uint16_expanded", "test_*_uint32_expanded",
        "test_*_uint64_expanded",
    ),
    "strings": ("test_equal_string*",),
    "training mode": ("test_batchnorm_*_training_mode", "test_training_dropout*"),
    "modes of Resize that no model of ours has": (
        "test_resize_*_antialias", "test_resize_tf_crop_and_resize*",
    ),
    "ONNX Runtime counts the positions that there are; the reference counts scale * size, a fraction": (
        "test_resize_downsample_scales_*_align_corners",
    ),
}  # fmt: skip
