using System.Buffers;
using System.Runtime.InteropServices;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: a tensor whose elements don't lie in row-major order, and a range of them in that order. Goes out: those elements, gathered
/// from few positioned reads through a buffer of fixed size.
/// </summary>
internal ref struct StridedReader
{
    // Stays in a second-level cache, from which elements are picked.
    private const int BufferBytes = 256 << 10;

    // A read of so many bytes costs about what one of a single element does.
    private const int CheapBytes = 16 << 10;

    // Reading so many times too much still beats a call for each piece.
    private const int Waste = 8;

    private readonly InputFile file;
    private readonly string name;
    private readonly int size;
    private readonly long start;
    private readonly Span<byte> destination;
    private readonly Span<byte> buffer;

    private StridedReader(InputFile file, string name, int size, long start, Span<byte> destination, Span<byte> buffer)
    {
        this.file = file;
        this.name = name;
        this.size = size;
        this.start = start;
        this.destination = destination;
        this.buffer = buffer;
    }

    /// <summary>Fills <paramref name="destination"/> from <paramref name="byteOffset"/> of the tensor's elements in row-major order.</summary>
    /// <param name="file">The archive.</param>
    /// <param name="name">The tensor's, for messages.</param>
    /// <param name="tensor">The tensor.</param>
    /// <param name="start">Where its first element lies in the file.</param>
    /// <param name="byteOffset">Where to begin in the tensor.</param>
    /// <param name="destination">The bytes wanted.</param>
    public static void Read(InputFile file, string name, PickleTensor tensor, long start, long byteOffset, Span<byte> destination)
    {
        int size = tensor.DType.Size();
        int head = (int)(byteOffset % size);
        if (head != 0 || destination.Length % size != 0)
        {
            // Nobody cuts elements, but whoever does gets the right bytes.
            var whole = new byte[(head + (long)destination.Length + size - 1) / size * size];
            Read(file, name, tensor, start, byteOffset - head, whole);
            whole.AsSpan(head, destination.Length).CopyTo(destination);
            return;
        }

        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            var reader = new StridedReader(file, name, size, start, destination, buffer.AsSpan(0, BufferBytes));
            reader.Range(Merge(tensor), 0, byteOffset / size, destination.Length / size, 0);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Dimensions without those of one index, and neighbours that one stride covers made one.</summary>
    private static List<Axis> Merge(PickleTensor tensor)
    {
        var axes = new List<Axis>();
        for (int i = 0; i < tensor.Strides.Count; i++)
        {
            var axis = new Axis(tensor.Shape.Dims[i], tensor.Strides[i], 0);
            if (axis.Count > 1 && axes.Count > 0 && axes[^1].Stride == axis.Stride * axis.Count)
            {
                axes[^1] = new Axis(axes[^1].Count * axis.Count, axis.Stride, 0);
            }
            else if (axis.Count > 1)
            {
                axes.Add(axis);
            }
        }

        return axes;
    }

    // A range of elements is a box where it begins and ends with whole rows; else its first and last rows are ranges one dimension down.
    private readonly void Range(List<Axis> axes, long origin, long from, long count, int to)
    {
        if (count == 0)
        {
            return;
        }

        if (axes.Count <= 1)
        {
            var (_, stride, _) = axes.Count == 1 ? axes[0] : new Axis(1, 0, 0);
            Box([new Axis(count, stride, 1)], 0, origin + (from * stride), to);
            return;
        }

        var inner = axes[1..];
        long row = inner.Aggregate(1L, (n, axis) => n * axis.Count);
        long first = from / row, skip = from % row;
        if (skip > 0)
        {
            long part = Math.Min(row - skip, count);
            Range(inner, origin + (first * axes[0].Stride), skip, part, to);
            (first, count, to) = (first + 1, count - part, to + (int)part);
        }

        long rows = count / row;
        if (rows > 0)
        {
            var box = new List<Axis> { new(rows, axes[0].Stride, 0) };
            box.AddRange(inner);
            long step = 1;
            for (int i = box.Count - 1; i >= 0; i--)
            {
                box[i] = box[i] with { Step = step };
                step *= box[i].Count;
            }

            // In the order of the file; stable, so that equal strides keep the order of rows.
            Box([.. box.OrderByDescending(axis => axis.Stride)], 0, origin + (first * axes[0].Stride), to);
        }

        Range(inner, origin + ((first + rows) * axes[0].Stride), 0, count - (rows * row), to + (int)(rows * row));
    }

    // Reads axes from k on, widest stride first: in one read, in reads gathered together, or each index of axis k by itself.
    private readonly void Box(Axis[] axes, int k, long origin, long to)
    {
        if (k == axes.Length - 1 && axes[k] is { Stride: 1, Step: 1 })
        {
            file.ReadTensor(destination.Slice((int)to * size, (int)axes[k].Count * size), start + (origin * size), name);
            return;
        }

        var rest = axes.AsSpan(k);
        long room = BufferBytes / size;
        if (IsDense(rest) && Span(rest) <= room)
        {
            file.ReadTensor(buffer[..((int)Span(rest) * size)], start + (origin * size), name);
            Pick(rest, to);
            return;
        }

        var (count, stride, step) = axes[k];
        long inner = Span(rest[1..]);
        if (!IsDense(rest[1..]) || inner > room)
        {
            for (long i = 0; i < count; i++)
            {
                Box(axes, k + 1, origin + (i * stride), to + (i * step));
            }

            return;
        }

        var group = rest.ToArray();
        bool together = IsDense([new Axis(2, stride, step), .. group[1..]]);
        long most = together ? Math.Max(1, ((room - inner) / Math.Max(1, stride)) + 1) : room / inner;
        for (long i = 0; i < count; i += most)
        {
            int n = (int)Math.Min(most, count - i);
            if (together)
            {
                int span = (int)(((n - 1) * stride) + inner);
                file.ReadTensor(buffer[..(span * size)], start + ((origin + (i * stride)) * size), name);
            }
            else
            {
                for (int j = 0; j < n; j++)
                {
                    var piece = buffer.Slice(j * (int)inner * size, (int)inner * size);
                    file.ReadTensor(piece, start + ((origin + ((i + j) * stride)) * size), name);
                }
            }

            group[0] = new Axis(n, together ? stride : inner, step);
            Pick(group, to + (i * step));
        }
    }

    private static long Span(ReadOnlySpan<Axis> axes)
    {
        long span = 1;
        foreach (var axis in axes)
        {
            span += (axis.Count - 1) * axis.Stride;
        }

        return span;
    }

    private readonly bool IsDense(ReadOnlySpan<Axis> axes)
    {
        long useful = 1;
        foreach (var axis in axes)
        {
            useful *= axis.Stride > 0 ? axis.Count : 1;
        }

        long span = Span(axes);
        return span * size <= CheapBytes || span / Waste <= useful;
    }

    private readonly void Pick(ReadOnlySpan<Axis> axes, long to)
    {
        // In the order of the destination, which is written once from front to back.
        var order = axes.ToArray();
        Array.Sort(order, static (a, b) => b.Step.CompareTo(a.Step));
        switch (size)
        {
            case 1:
                Pick<byte>(order, 0, buffer, destination, 0, to);
                break;
            case 2:
                Pick(order, 0, MemoryMarshal.Cast<byte, ushort>(buffer), MemoryMarshal.Cast<byte, ushort>(destination), 0, to);
                break;
            case 4:
                Pick(order, 0, MemoryMarshal.Cast<byte, uint>(buffer), MemoryMarshal.Cast<byte, uint>(destination), 0, to);
                break;
            default:
                Pick(order, 0, MemoryMarshal.Cast<byte, ulong>(buffer), MemoryMarshal.Cast<byte, ulong>(destination), 0, to);
                break;
        }
    }

    private static void Pick<T>(Axis[] axes, int k, ReadOnlySpan<T> source, Span<T> destination, long from, long to)
        where T : unmanaged
    {
        var (count, stride, step) = axes[k];
        if (k < axes.Length - 1)
        {
            for (long i = 0; i < count; i++)
            {
                Pick(axes, k + 1, source, destination, from + (i * stride), to + (i * step));
            }

            return;
        }

        int at = (int)from, pace = (int)stride;
        if (step == 1)
        {
            var row = destination.Slice((int)to, (int)count);
            for (int i = 0; i < row.Length; i++)
            {
                row[i] = source[at];
                at += pace;
            }

            return;
        }

        int into = (int)to, leap = (int)step;
        for (int i = 0; i < (int)count; i++)
        {
            destination[into] = source[at];
            at += pace;
            into += leap;
        }
    }

    /// <param name="Count">Indices.</param>
    /// <param name="Stride">Elements of the storage from one to the next.</param>
    /// <param name="Step">Elements of the destination from one to the next.</param>
    private sealed record Axis(long Count, long Stride, long Step);
}
