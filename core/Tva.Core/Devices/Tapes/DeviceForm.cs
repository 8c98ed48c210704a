using System.Globalization;
using Tva.Core.Devices.Rendering;
using Tva.Core.Ops;

namespace Tva.Core.Devices.Tapes;

/// <summary>
/// Comes in: an op's expression in the device dialect (<see cref="OpInfo.Gpu"/>) and its operands. Goes out: the same on a tape. The dialect's
/// functions are those of the kernels' prelude; <c>form</c> is the op's vector form, traced.
/// </summary>
internal sealed class DeviceForm
{
    private readonly string text;
    private readonly int op;
    private readonly VTape[] operands;
    private int at;

    private DeviceForm(int op, VTape[] operands) => (this.op, this.operands, text) = (op, operands, OpTable.Get(op).Gpu);

    /// <summary>An op's result; called while something is traced.</summary>
    public static VTape Apply(int op, params VTape[] operands)
    {
        var form = new DeviceForm(op, operands);
        var result = form.Choice();
        return form.Peek() == '\0' ? result : throw form.Unknown();
    }

    private VTape Choice()
    {
        var condition = Any();
        if (!Skip("?"))
        {
            return condition;
        }

        var x = Choice();
        Need(":");
        return VTape.Select(condition, x, Choice());
    }

    private VTape Any()
    {
        var a = All();
        while (Skip("||"))
        {
            a |= All();
        }

        return a;
    }

    private VTape All()
    {
        var a = Comparison();
        while (Skip("&&"))
        {
            a &= Comparison();
        }

        return a;
    }

    private VTape Comparison()
    {
        var a = Sum();
        return Skip("<=") ? VTape.LessEqual(a, Sum())
            : Skip(">=") ? VTape.LessEqual(Sum(), a)
            : Skip("==") ? VTape.Equal(a, Sum())
            : Skip("!=") ? ~VTape.Equal(a, Sum())
            : Skip("<") ? VTape.Less(a, Sum())
            : Skip(">") ? VTape.Less(Sum(), a)
            : a;
    }

    private VTape Sum()
    {
        var a = Product();
        while (true)
        {
            if (Skip("+"))
            {
                a += Product();
            }
            else if (Skip("-"))
            {
                a -= Product();
            }
            else
            {
                return a;
            }
        }
    }

    private VTape Product()
    {
        var a = Factor();
        while (true)
        {
            if (Skip("*"))
            {
                a *= Factor();
            }
            else if (Skip("/"))
            {
                a /= Factor();
            }
            else
            {
                return a;
            }
        }
    }

    private VTape Factor()
    {
        if (Skip("-"))
        {
            return Factor() ^ VTape.Const(-0f);
        }

        if (Skip("("))
        {
            var inner = Choice();
            Need(")");
            return inner;
        }

        if (Skip("$"))
        {
            return operands[text[at++] - 'a'];
        }

        return char.IsAsciiDigit(Peek()) ? Number() : Call();
    }

    private VTape Number()
    {
        var from = at;
        while (char.IsAsciiLetterOrDigit(text[at]) || text[at] == '.')
        {
            at++;
        }

        return VTape.Const(float.Parse(text.AsSpan(from, at - from).TrimEnd('f'), CultureInfo.InvariantCulture));
    }

    private VTape Call()
    {
        var from = at;
        while (char.IsAsciiLetterOrDigit(text[at]) || text[at] == '_')
        {
            at++;
        }

        var name = text[from..at];
        Need("(");
        var a = new List<VTape> { Choice() };
        while (Skip(","))
        {
            a.Add(Choice());
        }

        Need(")");
        return (name, a.Count) switch
        {
            (Dialect.Form, _) => Form([.. a]),
            ("fabs", 1) => a[0] & VTape.Bits(int.MaxValue),
            ("sqrt", 1) => VTape.Sqrt(a[0]),
            ("floor", 1) => VTape.Floor(a[0]),
            ("rint", 1) => VTape.Round(a[0]),
            ("fmod", 2) => VTape.Wide(TapeCode.WideRemainder, a[0], a[1]),
            ("fma", 3) => VTape.Fma(a[0], a[1], a[2]),
            ("min_ieee", 2) => VTape.Min(a[0], a[1]),
            ("max_ieee", 2) => VTape.Max(a[0], a[1]),
            ("sin_wide", 1) => VTape.Wide(TapeCode.WideSine, a[0]),
            ("cos_wide", 1) => VTape.Wide(TapeCode.WideCosine, a[0]),
            ("acos_wide", 1) => VTape.Wide(TapeCode.WideArcCosine, a[0]),
            ("pow_wide", 2) => VTape.Wide(TapeCode.WidePower, a[0], a[1]),
            _ => throw Unknown(),
        };
    }

    private VTape Form(VTape[] a)
    {
        var apply = OpTable.Form(op).GetMethod(nameof(IUnary.Apply))!.MakeGenericMethod(typeof(VTape));
        return a.Length switch
        {
            1 => apply.CreateDelegate<Func<VTape, VTape>>()(a[0]),
            2 => apply.CreateDelegate<Func<VTape, VTape, VTape>>()(a[0], a[1]),
            _ => apply.CreateDelegate<Func<VTape, VTape, VTape, VTape>>()(a[0], a[1], a[2]),
        };
    }

    private char Peek()
    {
        while (at < text.Length && text[at] == ' ')
        {
            at++;
        }

        return at < text.Length ? text[at] : '\0';
    }

    private bool Skip(string token)
    {
        _ = Peek();
        if (!text.AsSpan(at).StartsWith(token, StringComparison.Ordinal))
        {
            return false;
        }

        at += token.Length;
        return true;
    }

    private void Need(string token)
    {
        if (!Skip(token))
        {
            throw Unknown();
        }
    }

    private InvalidOperationException Unknown() => new($"\"{text}\" of {OpTable.Get(op).Name} is not understood at {at}");
}
