using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: reads of large tensors whose rows are scattered over the file, as of a transposed matrix. Goes out: the same bytes from whole
/// strips of rows, which are gathered once and kept until others are wanted: a block of few rows would take a read for each element.
/// </summary>
internal static class StripCache
{
    /// <summary>Tensors up to this are gathered directly.</summary>
    public const long SmallBytes = 1 << 20;

    private const int StripBytes = 4 << 20;

    // As many inputs times workers read at once without undoing each other's strips; 64 MiB for the whole process at most.
    private const int Slots = 16;

    private static readonly Lock Gate = new();
    private static readonly Strip[] Strips = [.. Enumerable.Range(0, Slots).Select(_ => new Strip())];
    private static long clock;

    /// <summary>Reads from strips, filling those that aren't there.</summary>
    /// <param name="tensor">The tensor; not contiguous.</param>
    /// <param name="byteOffset">Where to begin in it.</param>
    /// <param name="destination">The bytes wanted.</param>
    /// <param name="fill">Reads from the file: bytes from there in the tensor.</param>
    public static void Read(PickleTensor tensor, long byteOffset, Span<byte> destination, Action<long, ArraySegment<byte>> fill)
    {
        long row = tensor.Shape.RowLength * tensor.DType.Size();
        long length = row <= StripBytes ? StripBytes / row * row : StripBytes;
        while (destination.Length > 0)
        {
            long index = byteOffset / length;
            int skip = (int)(byteOffset - (index * length));
            int count = (int)Math.Min(destination.Length, length - skip);
            var strip = Choose(tensor, index);
            lock (strip)
            {
                if (strip.Tensor != tensor || strip.Index != index)
                {
                    strip.Tensor = null;
                    strip.Bytes ??= new byte[StripBytes];
                    fill(index * length, new ArraySegment<byte>(strip.Bytes, 0, (int)Math.Min(length, tensor.Bytes - (index * length))));
                    (strip.Tensor, strip.Index) = (tensor, index);
                }

                strip.Bytes.AsSpan(skip, count).CopyTo(destination);
            }

            destination = destination[count..];
            byteOffset += count;
        }
    }

    // Who waits for a strip finds out under its own lock whether it still holds what was wanted.
    private static Strip Choose(PickleTensor tensor, long index)
    {
        lock (Gate)
        {
            var chosen = Strips[0];
            foreach (var strip in Strips)
            {
                if (strip.WantedTensor == tensor && strip.WantedIndex == index)
                {
                    chosen = strip;
                    break;
                }

                chosen = strip.Used < chosen.Used ? strip : chosen;
            }

            (chosen.WantedTensor, chosen.WantedIndex, chosen.Used) = (tensor, index, ++clock);
            return chosen;
        }
    }

    private sealed class Strip
    {
        public byte[]? Bytes;
        public PickleTensor? Tensor;
        public long Index;
        public PickleTensor? WantedTensor;
        public long WantedIndex;
        public long Used;
    }
}
