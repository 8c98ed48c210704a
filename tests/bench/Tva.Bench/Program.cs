using System.Diagnostics;
using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Tva.Core.Tensors;

// What merely moving the bytes costs: reads every input and writes one output of the first one's size, block by block, on all cores,
// without computing. The floor that a merge is measured against.
//   dotnet run -c Release --project tests/bench/Tva.Bench -- copy OUT INPUT...     [--block 65536] [--threads N]
//   dotnet run -c Release --project tests/bench/Tva.Bench -- read INPUT...
var files = args.Skip(1).TakeWhile(a => !a.StartsWith("--", StringComparison.Ordinal)).ToList();
long Option(string name, long otherwise)
{
    var i = Array.IndexOf(args, name);
    return i < 0 ? otherwise : long.Parse(args[i + 1], CultureInfo.InvariantCulture);
}

if (args.Length < 2 || args[0] is not ("copy" or "read"))
{
    Console.Error.WriteLine("usage: copy OUT INPUT... | read INPUT...   [--block BYTES] [--threads N]");
    return 2;
}

var output = args[0] == "copy" ? files[0] : null;
var inputs = (output is null ? files : files.Skip(1)).Select(f => File.OpenHandle(f)).ToList();
var block = (int)Option("--block", 1 << 16);
var threads = (int)Option("--threads", Environment.ProcessorCount);
var length = inputs.Max(RandomAccess.GetLength);

var watch = Stopwatch.StartNew();
SafeFileHandle? target = null;
if (output is not null)
{
    target = File.OpenHandle(output + ".partial", FileMode.Create, FileAccess.Write);
    RandomAccess.SetLength(target, RandomAccess.GetLength(inputs[0]));
}

var next = -1L;
var workers = Enumerable.Range(0, threads).Select(_ => new Thread(() =>
{
    using var pool = new BlockPool(1L << 30);
    using var buffers = pool.Rent((long)block * inputs.Count);
    while (Interlocked.Increment(ref next) * block is var offset && offset < length)
    {
        for (var i = 0; i < inputs.Count; i++)
        {
            var read = RandomAccess.Read(inputs[i], buffers.Span((long)i * block, block), offset);
            if (i == 0 && target is not null && read > 0)
            {
                RandomAccess.Write(target, buffers.Span(0, read), offset);
            }
        }
    }
})).ToList();
workers.ForEach(w => w.Start());
workers.ForEach(w => w.Join());
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
