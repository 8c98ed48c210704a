using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// How a GGUF file keeps a tensor's elements: as they are, or in blocks of few bits that are made float32 where they are read.
/// Numbers, names and block sizes as in the format's specification, ggml's docs/gguf.md and ggml-common.h.
/// </summary>
internal sealed class GgufType
{
    // What others there are, so that a message can call them by name.
    private static readonly string?[] Names =
    [
        "F32", "F16", "Q4_0", "Q4_1", null, null, "Q5_0", "Q5_1", "Q8_0", "Q8_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_K", "IQ2_XXS", "IQ2_XS",
        "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8", "I16", "I32", "I64", "F64", "IQ1_M", "BF16", null, null, null, "TQ1_0", "TQ2_0",
        null, null, null, "MXFP4",
    ];

    private static readonly Dictionary<uint, GgufType> Known = Table().ToDictionary(type => type.Number);

    private GgufType(uint number, DType dtype, int elements, int bytes, Expansion? expand)
    {
        (Number, DType, BlockElements, BlockBytes, Expand) = (number, dtype, elements, bytes, expand);
    }

    /// <summary>Makes whole blocks float32: so many from the first place to the second.</summary>
    public unsafe delegate void Expansion(byte* source, float* destination, int blocks);

    public uint Number { get; }

    public string Name => NameOf(Number);

    /// <summary>What is read of it.</summary>
    public DType DType { get; }

    public int BlockElements { get; }

    public int BlockBytes { get; }

    /// <summary>Null where elements are kept as they are.</summary>
    public Expansion? Expand { get; }

    /// <summary>Names of all that are read, for messages.</summary>
    public static IEnumerable<string> Readable => Known.Values.Select(type => type.Name);

    public static GgufType? Find(uint number) => Known.GetValueOrDefault(number);

    public static string NameOf(uint number) => (number < Names.Length ? Names[number] : null) ?? $"number {number}";

    private static unsafe IEnumerable<GgufType> Table() =>
    [
        Plain(0, DType.F32), Plain(1, DType.F16), Plain(30, DType.BF16), Plain(28, DType.F64),
        Plain(24, DType.I8), Plain(25, DType.I16), Plain(26, DType.I32), Plain(27, DType.I64),
        new(8, DType.F32, 32, 34, GgufBlocks.Q8_0),
        new(2, DType.F32, 32, 18, GgufBlocks.Q4_0),
        new(12, DType.F32, 256, 144, GgufBlocks.Q4_K),
        new(14, DType.F32, 256, 210, GgufBlocks.Q6_K),
    ];

    private static GgufType Plain(uint number, DType dtype) => new(number, dtype, 1, dtype.Size(), null);
}
