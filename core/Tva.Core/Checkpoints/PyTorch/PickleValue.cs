using System.Globalization;

namespace Tva.Core.Checkpoints;

/// <summary>
/// One value of a PyTorch file: a dictionary, list, number, text, tensor and what else such files hold. Values don't change and may be
/// shared: two places of a file can hold the same one. No value holds itself. <see cref="object.ToString"/> says what it is, for messages.
/// </summary>
public abstract class PickleValue
{
    private protected PickleValue()
    {
    }
}

/// <summary>A whole number of at most 64 bits.</summary>
/// <param name="value">The number.</param>
public sealed class PickleInteger(long value) : PickleValue
{
    /// <summary>The number.</summary>
    public long Value => value;

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"the number {value}");
}

/// <summary>A number in double precision.</summary>
/// <param name="value">The number.</param>
public sealed class PickleReal(double value) : PickleValue
{
    /// <summary>The number.</summary>
    public double Value => value;

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"the number {value}");
}

/// <summary>A text.</summary>
/// <param name="value">The text.</param>
public sealed class PickleText(string value) : PickleValue
{
    /// <summary>The text.</summary>
    public string Value => value;

    /// <inheritdoc/>
    public override string ToString() => $"the text {Quoted.Name(value)}";
}

/// <summary>True or false.</summary>
public sealed class PickleBoolean : PickleValue
{
    internal static readonly PickleBoolean True = new(true);
    internal static readonly PickleBoolean False = new(false);

    private PickleBoolean(bool value) => Value = value;

    /// <summary>Which of the two.</summary>
    public bool Value { get; }

    /// <inheritdoc/>
    public override string ToString() => Value ? "True" : "False";
}

/// <summary>Python's None.</summary>
public sealed class PickleNothing : PickleValue
{
    internal static readonly PickleNothing Instance = new();

    private PickleNothing()
    {
    }

    /// <inheritdoc/>
    public override string ToString() => "None";
}
