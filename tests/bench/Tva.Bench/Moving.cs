using Microsoft.Win32.SafeHandles;
using Tva.Core.Tensors;

namespace Tva.Bench;

/// <summary>Comes in: files. Goes out: the time to read all of them, and to write the first, block by block on all cores, computing nothing.</summary>
internal static class Moving
{
    /// <summary>Reads every input and writes what it reads of the first to <paramref name="target"/>; a block of each input at a time.</summary>
    public static void Run(IReadOnlyList<SafeFileHandle> inputs, SafeFileHandle? target, int block, int threads)
    {
        var length = inputs.Max(RandomAccess.GetLength);
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
    }
}
