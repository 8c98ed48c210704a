using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>One of the few Python names that are known: what may be asked of it, never the thing itself.</summary>
internal sealed class PickleName : PickleValue
{
    private static readonly Dictionary<string, PickleName> Table = new PickleName[]
    {
        new("collections.OrderedDict", NameKind.OrderedDict),
        new("torch._utils._rebuild_tensor_v2", NameKind.Tensor),
        new("torch._utils._rebuild_tensor_v3", NameKind.TypedTensor),
        new("torch._utils._rebuild_parameter", NameKind.Parameter),
        new("torch.Size", NameKind.Size),
        new("torch.DoubleStorage", NameKind.Storage, DType.F64),
        new("torch.FloatStorage", NameKind.Storage, DType.F32),
        new("torch.HalfStorage", NameKind.Storage, DType.F16),
        new("torch.BFloat16Storage", NameKind.Storage, DType.BF16),
        new("torch.LongStorage", NameKind.Storage, DType.I64),
        new("torch.IntStorage", NameKind.Storage, DType.I32),
        new("torch.ShortStorage", NameKind.Storage, DType.I16),
        new("torch.CharStorage", NameKind.Storage, DType.I8),
        new("torch.ByteStorage", NameKind.Storage, DType.U8),
        new("torch.BoolStorage", NameKind.Storage, DType.Bool),
        new("torch.storage.UntypedStorage", NameKind.Storage),
        new("torch.UntypedStorage", NameKind.Storage),
        new("torch.float64", NameKind.Type, DType.F64),
        new("torch.float32", NameKind.Type, DType.F32),
        new("torch.float16", NameKind.Type, DType.F16),
        new("torch.bfloat16", NameKind.Type, DType.BF16),
        new("torch.float8_e4m3fn", NameKind.Type, DType.F8E4M3),
        new("torch.float8_e5m2", NameKind.Type, DType.F8E5M2),
        new("torch.int64", NameKind.Type, DType.I64),
        new("torch.int32", NameKind.Type, DType.I32),
        new("torch.int16", NameKind.Type, DType.I16),
        new("torch.int8", NameKind.Type, DType.I8),
        new("torch.uint64", NameKind.Type, DType.U64),
        new("torch.uint32", NameKind.Type, DType.U32),
        new("torch.uint16", NameKind.Type, DType.U16),
        new("torch.uint8", NameKind.Type, DType.U8),
        new("torch.bool", NameKind.Type, DType.Bool),
    }.ToDictionary(name => name.Name);

    private PickleName(string name, NameKind kind, DType? type = null)
    {
        Name = name;
        Kind = kind;
        Type = type;
    }

    public string Name { get; }

    public NameKind Kind { get; }

    /// <summary>Element type of a storage or of the type itself; null for untyped storages.</summary>
    public DType? Type { get; }

    public static PickleName? Find(string name) => Table.GetValueOrDefault(name);

    public override string ToString() => $"the name {Name}";
}

internal enum NameKind : byte
{
    OrderedDict,
    Tensor,
    TypedTensor,
    Parameter,
    Size,
    Storage,
    Type,
}
