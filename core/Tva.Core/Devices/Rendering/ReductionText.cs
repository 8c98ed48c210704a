using Tva.Core.Execution;

namespace Tva.Core.Devices.Rendering;

/// <summary>Comes in: a kind of reduction. Goes out: what a lane begins with, does with an element and ends with, in the device dialect.</summary>
internal static class ReductionText
{
    /// <summary>A sum's declaration.</summary>
    public static string Start(ReduceKind kind, string s) => kind switch
    {
        ReduceKind.MaxAbs => $"int {s} = 0;",
        ReduceKind.Min or ReduceKind.Max => $"float {s} = -as_float(0x7f800000);",
        ReduceKind.CountNonzero => $"uint {s} = 0;",
        _ => $"acc_t {s} = ACC_ZERO;",
    };

    /// <summary>One element more.</summary>
    public static string Step(ReduceKind kind, string s, string a, string b) => kind switch
    {
        ReduceKind.Sum => $"{s} = acc_add({s}, {a});",
        ReduceKind.SumAbs => $"{s} = acc_add({s}, fabs({a}));",
        ReduceKind.Dot => $"{s} = acc_mad({s}, {a}, {b});",
        ReduceKind.MaxAbs => $"{s} = max({s}, as_int({a}) & 0x7fffffff);",
        ReduceKind.Min => $"{s} = max_ieee({s}, -{a});",
        ReduceKind.Max => $"{s} = max_ieee({s}, {a});",
        ReduceKind.CountNonzero => $"{s} += {a} != 0.0f ? 1u : 0u;",
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "selections are no sums"),
    };

    /// <summary>A lane's result; of Min minus it.</summary>
    public static string End(ReduceKind kind, string s) => kind switch
    {
        ReduceKind.MaxAbs => $"ACC_OF(as_float({s}))",
        ReduceKind.Min or ReduceKind.Max => $"ACC_OF({s})",
        ReduceKind.CountNonzero => $"acc_count({s})",
        _ => s,
    };
}
