using Tva.Core.Tensors;

namespace Tva.Core.Adapters;

/// <summary>How a module's factors lie in its weight.</summary>
public enum AdapterKind
{
    /// <summary>[out, in] of a linear layer: scale · B·A.</summary>
    Linear,

    /// <summary>[in, out], as GPT-2 has it (<c>fan_in_fan_out</c>): scale · (B·A)ᵀ.</summary>
    Transposed,

    /// <summary>[rows, columns] of an embedding: scale · (B·A)ᵀ, A and B being <c>lora_embedding_A</c> and <c>lora_embedding_B</c>.</summary>
    Embedding,

    /// <summary>[out, in, ...] of a convolution: scale · B·A over A's flat rows.</summary>
    Convolution,
}

/// <summary>What an adapter does to one tensor of its base: a low-rank change, a tensor instead of the base's, or both.</summary>
/// <param name="Base">The base's tensor.</param>
public sealed record AdapterTensor(TensorInfo Base)
{
    /// <summary>The module that has factors for it, or null.</summary>
    public AdapterModule? Module { get; init; }

    /// <summary>How they lie.</summary>
    public AdapterKind Kind { get; init; }

    /// <summary>The name under which the file keeps a tensor instead of the base's, without what PEFT wraps around; or null.</summary>
    public string? ReplacedAs { get; init; }

    /// <summary>Whether the factors tell all of it.</summary>
    public bool IsLowRank => Module is not null && Instead is null && Added is null;

    /// <summary>The tensor that stands instead of the base's.</summary>
    internal TensorInfo? Instead { get; init; }

    /// <summary>A bias that is added, times <see cref="AddedScale"/>.</summary>
    internal TensorInfo? Added { get; init; }

    internal double AddedScale { get; init; }

    /// <summary>Bytes that its numbers take in the file.</summary>
    internal long Stored => (Module is { } m ? m.Down.Bytes + m.Up.Bytes : 0) + (Instead?.Bytes ?? 0) + (Added?.Bytes ?? 0);
}
