using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Tva.Core.Execution;
using Tva.Core.Kernels;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>What is told of a written tensor: a hash of its bytes and, where asked for, statistics of its stored values.</summary>
/// <param name="Hash">See <see cref="TensorDigest"/>.</param>
/// <param name="Norm">√Σx², NaN where not asked for or not floating.</param>
/// <param name="Largest">max |x|, likewise.</param>
public readonly record struct TensorSummary(ulong Hash, double Norm, double Largest);

/// <summary>
/// Comes in: a tensor's bytes, in blocks of any order from any thread. Goes out: its hash and statistics, the same whatever the blocks:
/// the hash is a sum over 8-byte words of a mix of word and place; sums of squares are kept by cell and added up in order at the end.
/// </summary>
internal sealed class TensorDigest
{
    private const ulong Step = 0x9E3779B97F4A7C15;
    private const int Cell = PlanShape.Cell;

    private readonly DType dtype;
    private readonly long bytes;
    private readonly int cellBytes;
    private readonly bool measured;
    private double[]? squares;
    private double[]? largest;
    private long hash;
    private int broken;

    /// <param name="dtype">Of the tensor.</param>
    /// <param name="bytes">Its size.</param>
    /// <param name="measured">Whether statistics are wanted.</param>
    public TensorDigest(DType dtype, long bytes, bool measured)
    {
        (this.dtype, this.bytes) = (dtype, bytes);
        this.measured = measured && dtype.IsFloating();
        cellBytes = Cell * dtype.Size();
    }

    /// <summary>Adds a block. One that doesn't begin and end at words (and, for statistics, cells) leaves the digest to be taken from the file.</summary>
    public void Add(ReadOnlySpan<byte> block, long offset)
    {
        var unit = measured ? cellBytes : 8;
        if (offset % unit != 0 || (block.Length % unit != 0 && offset + block.Length != bytes))
        {
            Volatile.Write(ref broken, 1);
            return;
        }

        Interlocked.Add(ref hash, (long)Sum(block, offset));
        if (!measured)
        {
            return;
        }

        var (sums, tops) = Cells();
        Span<float> values = stackalloc float[1024];
        for (var at = 0; at < block.Length; at += cellBytes)
        {
            var cell = (offset + at) / cellBytes;
            (sums[cell], tops[cell]) = Measure(block.Slice(at, Math.Min(cellBytes, block.Length - at)), values);
        }
    }

    /// <summary>All bytes have come: the summary, or null where the file has to be read for it.</summary>
    public TensorSummary? Finish()
    {
        if (Volatile.Read(ref broken) != 0)
        {
            return null;
        }

        if (!measured)
        {
            return new TensorSummary((ulong)hash, double.NaN, double.NaN);
        }

        var (sums, tops) = Cells();
        double sum = 0, top = 0;
        for (var i = 0; i < sums.Length; i++)
        {
            sum += sums[i];
            top = double.IsNaN(top) || tops[i] <= top ? top : tops[i];
        }

        (squares, largest) = (null, null);
        return new TensorSummary((ulong)hash, Math.Sqrt(sum), top);
    }

    /// <summary>An empty one for the same tensor.</summary>
    public TensorDigest Anew() => new(dtype, bytes, measured);

    /// <summary>The hash of all of a tensor's bytes read in order, block by block; blocks but the last are whole words.</summary>
    // Compiled for this machine from the first call on: a block is passed long before the runtime would think of it.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static ulong Sum(ReadOnlySpan<byte> block, long offset)
    {
        var words = MemoryMarshal.Cast<byte, ulong>(block[..(block.Length & ~7)]);
        ulong sum = 0, key = ((ulong)(offset / 8) + 1) * Step;
        var at = 0;
        if (BitConverter.IsLittleEndian)
        {
            var keys = Vector512.Create(key) + (Vector512<ulong>.Indices * Step);
            var sums = Vector512<ulong>.Zero;
            for (; at <= words.Length - Vector512<ulong>.Count; at += Vector512<ulong>.Count)
            {
                var w = Vector512.LoadUnsafe(ref MemoryMarshal.GetReference(words), (nuint)at);
                var x = w ^ keys;
                sums += ((x & Vector512.Create((ulong)uint.MaxValue)) * (x >>> 32)) + w;
                keys += Vector512.Create(unchecked(Step * 8));
            }

            sum = Vector512.Sum(sums);
            key += (ulong)at * Step;
        }

        foreach (var word in words[at..])
        {
            sum += Mix(BitConverter.IsLittleEndian ? word : BinaryPrimitives.ReverseEndianness(word), key);
            key += Step;
        }

        if ((block.Length & 7) is > 0 and var rest)
        {
            Span<byte> last = stackalloc byte[8];
            last.Clear();
            block[^rest..].CopyTo(last);
            sum += Mix(BinaryPrimitives.ReadUInt64LittleEndian(last), key);
        }

        return sum;
    }

    // The halves of word ^ key multiplied, as vectors can, and the word itself, so that no change of one word alone is lost.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Mix(ulong word, ulong key)
    {
        var x = word ^ key;
        return ((x & uint.MaxValue) * (x >> 32)) + word;
    }

    private (double[] Squares, double[] Largest) Cells()
    {
        var count = (int)((bytes + cellBytes - 1) / cellBytes);
        return (
            LazyInitializer.EnsureInitialized(ref squares, () => new double[count]),
            LazyInitializer.EnsureInitialized(ref largest, () => new double[count]));
    }

    /// <summary>Σx² and max |x| of a cell, in lanes of fixed number so that every machine adds up alike.</summary>
    private (double Square, double Largest) Measure(ReadOnlySpan<byte> cell, Span<float> values)
    {
        Span<double> lanes = stackalloc double[8];
        Span<float> tops = stackalloc float[8];
        lanes.Clear();
        tops.Clear();
        var nan = false;
        var size = dtype.Size();
        for (var at = 0; at < cell.Length;)
        {
            var n = Math.Min(values.Length, (cell.Length - at) / size);
            var part = values[..n];
            ToFloats(cell.Slice(at, n * size), part);
            for (var i = 0; i < n; i++)
            {
                var x = Math.Abs(part[i]);
                lanes[i & 7] += (double)x * x;
                nan |= float.IsNaN(x);
                tops[i & 7] = x > tops[i & 7] ? x : tops[i & 7];
            }

            at += n * size;
        }

        double sum = 0;
        float top = 0;
        for (var i = 0; i < 8; i++)
        {
            sum += lanes[i];
            top = Math.Max(top, tops[i]);
        }

        return (sum, nan ? double.NaN : top);
    }

    private void ToFloats(ReadOnlySpan<byte> source, Span<float> values)
    {
        switch (dtype)
        {
            case DType.F32:
                MemoryMarshal.Cast<byte, float>(source).CopyTo(values);
                break;
            case DType.BF16:
                var halves = MemoryMarshal.Cast<byte, ushort>(source);
                for (var i = 0; i < values.Length; i++)
                {
                    values[i] = BitConverter.UInt32BitsToSingle((uint)halves[i] << 16);
                }

                break;
            case DType.F16:
                var shorts = MemoryMarshal.Cast<byte, Half>(source);
                for (var i = 0; i < values.Length; i++)
                {
                    values[i] = (float)shorts[i];
                }

                break;
            default:
                Load(source, values);
                break;
        }
    }

    private unsafe void Load(ReadOnlySpan<byte> source, Span<float> values)
    {
        fixed (byte* p = source)
        {
            for (var i = 0; i < values.Length; i++)
            {
                values[i] = ScalarConversion.Load(dtype, p, i);
            }
        }
    }
}
