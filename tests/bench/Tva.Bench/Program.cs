using System.Diagnostics;
using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Tva.Bench;
using Tva.Core;
using Tva.Core.Execution;

// What merely moving the bytes costs: reads every input and writes one output of the first one's size, block by block, on all cores,
// without computing. The floor that a merge is measured against. And what all dot products of task vectors cost over that floor.
//   dotnet run -c Release --project tests/bench/Tva.Bench -- copy OUT INPUT...     [--block 65536] [--threads N]
//   dotnet run -c Release --project tests/bench/Tva.Bench -- read INPUT...
//   dotnet run -c Release --project tests/bench/Tva.Bench -- gram BASE TASK...     [--repeat 5] [--memory BYTES] [--threads N]
// And how near matrix products come to the most this processor can multiply and add, and what low-rank approximation (rank 0: the polar factor) takes.
//   dotnet run -c Release --project tests/bench/Tva.Bench -- matmul                [--repeat 5] [--threads N]
//   dotnet run -c Release --project tests/bench/Tva.Bench -- lowrank F32_FILE      --rows M --columns N [--rank 16] [--repeat 5] [--threads N]
//   dotnet run -c Release --project tests/bench/Tva.Bench -- expand ROWS COLUMNS RANK   [--repeat 5]
//   dotnet run -c Release --project tests/bench/Tva.Bench -- pinned BASE TASK...   [--repeat 5] [--threads N]
//   dotnet run -c Release --project tests/bench/Tva.Bench -- fsharp                [--repeat 15] [--threads N] [--elements N]
// `fsharp` sets functions written in F# beside the same written in TVA, in one process.
// `pinned` sets an expression over checkpoints held in memory beside a plain copy of them from memory to memory.
//   dotnet run -c Release --project tests/bench/Tva.Bench -- formats FOLDER --megabytes 512   [--repeat 5] [--threads N]
//   dotnet run -c Release --project tests/bench/Tva.Bench -- device NAME            [--megabytes 256] [--device-memory BYTES] [--repeat 5] [--threads N] [--job TEXT]
// `device` measures kernels and plans over operands in a device's memory beside a copy within it; torch_device.py does the same in PyTorch.
// `formats` writes the same elements in each format that is read, and reads them as the engine does.
var files = args.Skip(1).TakeWhile(a => !a.StartsWith("--", StringComparison.Ordinal)).ToList();
long Option(string name, long otherwise)
{
    var i = Array.IndexOf(args, name);
    return i < 0 ? otherwise : long.Parse(args[i + 1], CultureInfo.InvariantCulture);
}

if (args is ["matmul", ..] or ["lowrank", _, ..])
{
    var (atOnce, repeats) = ((int)Option("--threads", Environment.ProcessorCount), (int)Option("--repeat", 5));
    var lines = args[0] == "matmul"
        ? Products.Run(atOnce, repeats)
        : Decompositions.Run(args[1], (int)Option("--rows", 0), (int)Option("--columns", 0), (int)Option("--rank", 16), atOnce, repeats);
    foreach (var line in lines)
    {
        Console.WriteLine(line);
    }

    return 0;
}

if (args is ["fsharp", ..])
{
    foreach (var line in FSharpFunctions.Run(Option("--elements", 1 << 26), (int)Option("--threads", Environment.ProcessorCount), (int)Option("--repeat", 15)))
    {
        Console.WriteLine(line);
    }

    return 0;
}

if (args is ["device", var device, ..])
{
    try
    {
        long? most = Option("--device-memory", 0) is > 0 and var bytes ? bytes : null;
        foreach (var line in OnDevice.Run(device, (int)Option("--megabytes", 256), most, (int)Option("--threads", Environment.ProcessorCount), (int)Option("--repeat", 5), Array.IndexOf(args, "--job") is >= 0 and var at ? args[at + 1] : ""))
        {
            Console.WriteLine(line);
        }
    }
    catch (FaultException fault)
    {
        Console.Error.WriteLine(fault.Message);
        return 1;
    }

    return 0;
}

if (args is ["formats", var folder, ..])
{
    foreach (var line in Formats.Run(folder, (int)Option("--megabytes", 512), (int)Option("--repeat", 5), (int)Option("--threads", Environment.ProcessorCount)))
    {
        Console.WriteLine(line);
    }

    return 0;
}

if (args.Length < 2 || args[0] is not ("copy" or "read" or "gram" or "expand" or "pinned"))
{
    Console.Error.WriteLine(
        "usage: copy OUT INPUT... | read INPUT... | gram BASE TASK... | pinned BASE TASK... | expand ROWS COLUMNS RANK | matmul | fsharp | lowrank FILE | formats FOLDER | device NAME   [--block BYTES] [--threads N] [--repeat N] [--memory BYTES]");
    return 2;
}

var threads = (int)Option("--threads", Environment.ProcessorCount);
if (args[0] == "gram")
{
    var options = new RunOptions(Option("--memory", RunOptions.Default.Memory), threads, false);
    var runs = Gram.Run(files, options, (int)Option("--repeat", 5)).ToList();
    double pass = Median(runs.Select(r => r.Pass)), read = Median(runs.Select(r => r.Read)), bytes = runs[0].Bytes / 1e9;
    Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture,
        $"{{\"job\":\"gram\",\"tasks\":{files.Count - 1},\"seconds\":{pass:F3},\"GB_per_s\":{bytes / pass:F2},"
        + $"\"read_seconds\":{read:F3},\"read_GB_per_s\":{bytes / read:F2},\"ratio\":{Median(runs.Select(r => r.Pass / r.Read)):F2},"
        + $"\"peak_MB\":{Process.GetCurrentProcess().PeakWorkingSet64 / 1e6:F0}}}"));
    return 0;
}

if (args[0] == "expand")
{
    var sizes = files.Select(f => int.Parse(f, CultureInfo.InvariantCulture)).ToArray();
    var rate = Median(Expanding.Run(sizes[0], sizes[1], sizes[2], (int)Option("--repeat", 5)));
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{{\"job\":\"expand\",\"rank\":{sizes[2]},\"GB_per_s_per_core\":{rate:F2}}}"));
    return 0;
}

if (args[0] == "pinned")
{
    var options = new RunOptions(Option("--memory", RunOptions.Default.Memory), threads, false);
    var runs = Pinned.Run(files, options, (int)Option("--repeat", 5)).ToList();
    double pass = Median(runs.Select(r => r.Pass)), copy = Median(runs.Select(r => r.Copy)), bytes = runs[0].Bytes / 1e9;
    Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture,
        $"{{\"job\":\"pinned\",\"tasks\":{files.Count - 1},\"seconds\":{pass:F3},\"GB_per_s\":{bytes / pass:F2},"
        + $"\"copy_seconds\":{copy:F3},\"copy_GB_per_s\":{bytes / copy:F2},\"copy_read_and_written_GB_per_s\":{2 * bytes / copy:F2},"
        + $"\"share_of_copy\":{Median(runs.Select(r => r.Copy / r.Pass)):F2},\"share_of_read_and_written\":{Median(runs.Select(r => r.Copy / r.Pass / 2)):F2}}}"));
    return 0;
}

var output = args[0] == "copy" ? files[0] : null;
var inputs = (output is null ? files : files.Skip(1)).Select(f => File.OpenHandle(f)).ToList();

var watch = Stopwatch.StartNew();
SafeFileHandle? target = null;
if (output is not null)
{
    target = File.OpenHandle(output + ".partial", FileMode.Create, FileAccess.Write);
    RandomAccess.SetLength(target, RandomAccess.GetLength(inputs[0]));
}

Moving.Run(inputs, target, (int)Option("--block", 1 << 16), threads);
if (target is not null)
{
    RandomAccess.FlushToDisk(target);
    target.Dispose();
    File.Move(output + ".partial", output!, true);
}

var seconds = watch.Elapsed.TotalSeconds;
var moved = inputs.Sum(RandomAccess.GetLength) + (output is null ? 0 : RandomAccess.GetLength(inputs[0]));
Console.WriteLine(string.Create(
    CultureInfo.InvariantCulture, $"{{\"job\":\"{args[0]}\",\"seconds\":{seconds:F3},\"GB_per_s\":{moved / seconds / 1e9:F2}}}"));
return 0;

static double Median(IEnumerable<double> values) => values.Order().ElementAt(values.Count() / 2);
