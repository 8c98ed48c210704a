namespace Tva.Core;

/// <summary>
/// Comes in: who this process is for. Goes out: how messages call the options that a person or a program sets. A program that embeds the engine has
/// <see cref="Calls"/>; a command says once, at its start, that its options are switches.
/// </summary>
/// <param name="Memory">The bound on memory.</param>
/// <param name="DeviceMemory">The bound on a device's memory.</param>
/// <param name="Device">The choice of a device.</param>
/// <param name="Strict">NaN and infinity as faults.</param>
/// <param name="Incremental">Tensors taken from outputs that are there.</param>
/// <param name="Set">A value for a parameter.</param>
/// <param name="Run">Leave to start programs.</param>
/// <param name="FSharp">Leave to hold F#.</param>
/// <param name="Given">An option with a value: {0} and {1}.</param>
public sealed record Wording(
    string Memory, string DeviceMemory, string Device, string Strict, string Incremental, string Set, string Run, string FSharp, string Given)
{
    /// <summary>The methods of EvaluatorOptions.</summary>
    public static Wording Calls { get; } = new(
        "WithMemory", "WithDeviceMemory", "WithDevice", "WithStrict", "WithIncremental", "parameter", "WithRun()", "WithFSharp(FSharpHosts.create)", "{0}(\"{1}\")");

    /// <summary>The switches of the command.</summary>
    public static Wording Switches { get; } = new(
        "--memory", "--device-memory", "--device", "--strict", "--incremental", "--set", "--allow-run", "--allow-fsharp", "{0} {1}");

    /// <summary>This process's; set before the first message, and not after.</summary>
    public static Wording Current { get; set; } = Calls;

    /// <summary>The processor as the device.</summary>
    public string Cpu => DeviceNamed("cpu");

    /// <summary>A device that was named.</summary>
    public string DeviceNamed(string name) => string.Format(System.Globalization.CultureInfo.InvariantCulture, Given, Device, name);
}
