using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>A Python name: of the few that are known what may be asked of it, of others the name alone; never the thing itself.</summary>
internal sealed class PickleName : PickleValue
{
    private static readonly Dictionary<string, PickleName> Table = new PickleName[]
    {
        new("collections.OrderedDict", NameKind.OrderedDict),
        new("collections.defaultdict", NameKind.Dictionary),
        new("builtins.dict", NameKind.Dictionary),
        new("__builtin__.dict", NameKind.Dictionary),
        new("builtins.set", NameKind.Set),
        new("__builtin__.set", NameKind.Set),
        new("builtins.frozenset", NameKind.Set),
        new("__builtin__.frozenset", NameKind.Set),
        new("torch._utils._rebuild_tensor", NameKind.OldTensor),
        new("torch._utils._rebuild_parameter_with_state", NameKind.Parameter),
        new("torch._tensor._rebuild_from_type_v2", NameKind.Subclass),
        new("torch.Tensor", NameKind.Class),
        new("torch.nn.parameter.Parameter", NameKind.Class),
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

    // Modules that reach out of the file: no model needs them, and all that ever came in a checkpoint was an attack.
    private static readonly HashSet<string> Outside =
    [
        "os", "posix", "nt", "subprocess", "sys", "shutil", "socket", "importlib", "runpy", "pty", "ctypes", "pickle", "_pickle", "cPickle", "code", "codeop",
        "webbrowser", "commands", "pip", "platform", "signal", "threading", "_thread", "asyncio", "multiprocessing", "requests", "urllib", "http", "ftplib", "smtplib",
        "ssl", "tempfile", "glob", "io", "_io", "inspect", "types", "marshal", "bdb", "pdb", "timeit", "cProfile", "profile", "trace", "zipimport", "imp",
        "idlelib", "distutils", "setuptools", "pkgutil", "pydoc", "venv", "ensurepip", "linecache", "sqlite3", "xmlrpc", "telnetlib", "test",
    ];

    private static readonly HashSet<string> Harmless =
    [
        "set", "frozenset", "dict", "list", "tuple", "slice", "range", "xrange", "complex", "bytes", "bytearray", "object", "type", "getattr", "int", "long", "float",
        "bool", "str", "unicode", "property", "Ellipsis", "NotImplemented", "print", "len", "max", "min", "abs", "sum", "sorted", "reversed", "enumerate", "zip",
    ];

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

    /// <summary>The name, or null where it could only serve to reach out of the file.</summary>
    public static PickleName? Find(string module, string name)
    {
        string full = $"{module}.{name}";
        if (Table.GetValueOrDefault(full) is { } known)
        {
            return known;
        }

        int dot = module.IndexOf('.');
        string root = dot < 0 ? module : module[..dot];
        return Outside.Contains(root) || (root is "builtins" or "__builtin__" && !Harmless.Contains(name)) || root == "operator" || full.StartsWith("torch.hub", StringComparison.Ordinal)
            ? null
            : new PickleName(full, NameKind.Foreign);
    }

    public override string ToString() => Kind == NameKind.Foreign ? $"the name {Quoted.Name(Name)}" : $"the name {Name}";
}

internal enum NameKind : byte
{
    Foreign,
    OrderedDict,
    Dictionary,
    Set,
    Class,
    Subclass,
    OldTensor,
    Tensor,
    TypedTensor,
    Parameter,
    Size,
    Storage,
    Type,
}
