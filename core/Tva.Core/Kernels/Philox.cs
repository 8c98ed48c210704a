using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using System.Text;

namespace Tva.Core.Kernels;

/// <summary>
/// A key and an index in, a uniform number out: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as
/// 1, 2, 3", SC11), so that any block of a tensor can be filled by any thread in any order.
/// Element i belongs to group g = i / 64; with j = i % 64 it is word j / 16 of the counter g·16 + j % 16 (low and high half in
/// the first two counter words, the others 0): a word of 16 counters makes 16 neighbours. Its value is (word >> 8) · 2⁻²⁴.
/// </summary>
public static class Philox
{
    internal const uint M0 = 0xd2511f53;
    internal const uint M1 = 0xcd9e8d57;
    internal const uint W0 = 0x9e3779b9;
    internal const uint W1 = 0xbb67ae85;
    internal const int Rounds = 10;
    private const int Group = 64;

    /// <summary>
    /// The key of a tensor's stream: FNV-1a (64 bits) of the name's UTF-8 bytes, xor the seed times 0x9e3779b97f4a7c15, through the
    /// finalizer of SplitMix64. Never to change: scripts with a seed depend on it.
    /// </summary>
    public static ulong Key(long seed, string tensorName)
    {
        var hash = 0xcbf29ce484222325;
        foreach (var b in Encoding.UTF8.GetBytes(tensorName))
        {
            hash = (hash ^ b) * 0x100000001b3;
        }

        var x = hash ^ ((ulong)seed * 0x9e3779b97f4a7c15);
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
        x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
        return x ^ (x >> 31);
    }

    /// <summary>Elements start, start + 1... of the key's stream, uniform in [0, 1).</summary>
    /// <param name="key">See <see cref="Key"/>.</param>
    /// <param name="start">Index of the first element; any, not negative.</param>
    /// <param name="destination">Where they go.</param>
    public static void Fill(ulong key, long start, Span<float> destination)
    {
        Span<float> group = stackalloc float[Group];
        while (!destination.IsEmpty)
        {
            var skip = (int)(start % Group);
            if (skip == 0 && destination.Length >= Group)
            {
                FillGroup(key, (ulong)(start / Group), destination[..Group], CpuKernel.Width);
                start += Group;
                destination = destination[Group..];
                continue;
            }

            FillGroup(key, (ulong)(start / Group), group, CpuKernel.Width);
            var take = Math.Min(Group - skip, destination.Length);
            group.Slice(skip, take).CopyTo(destination);
            start += take;
            destination = destination[take..];
        }
    }

    /// <summary>The generator itself: four counter words and two key words in, four random words out.</summary>
    internal static (uint X, uint Y, uint Z, uint W) Block((uint X, uint Y, uint Z, uint W) counter, (uint X, uint Y) key)
    {
        var (x, y, z, w) = counter;
        var (k0, k1) = key;
        for (var round = 0; round < Rounds; round++)
        {
            var (a, b) = ((ulong)M0 * x, (ulong)M1 * z);
            (x, y, z, w) = ((uint)(b >> 32) ^ y ^ k0, (uint)b, (uint)(a >> 32) ^ w ^ k1, (uint)a);
            (k0, k1) = (k0 + W0, k1 + W1);
        }

        return (x, y, z, w);
    }

    /// <summary>A group of the key's stream, the same whatever the width.</summary>
    internal static void FillGroup(ulong key, ulong group, Span<float> destination, int width)
    {
        if (width == 512)
        {
            Sixteen(key, group * 16, ref MemoryMarshal.GetReference(destination));
            return;
        }

        if (width == 256)
        {
            for (var first = 0; first < 16; first += 8)
            {
                Eight(key, (group * 16) + (ulong)first, ref MemoryMarshal.GetReference(destination[first..]));
            }

            return;
        }

        for (var j = 0; j < 16; j++)
        {
            var c = (group * 16) + (ulong)j;
            var (x, y, z, w) = Block(((uint)c, (uint)(c >> 32), 0, 0), ((uint)key, (uint)(key >> 32)));
            destination[j] = Uniform(x);
            destination[16 + j] = Uniform(y);
            destination[32 + j] = Uniform(z);
            destination[48 + j] = Uniform(w);
        }
    }

    private static float Uniform(uint word) => (word >> 8) * (1f / (1 << 24));

    /// <summary>
    /// Eight counters at once: a word per 64-bit lane, so that the product needs no rearranging; two vectors overlap. Upper halves are
    /// left as they come out: products and the end look at the lower ones alone.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Eight(ulong key, ulong counter, ref float destination)
    {
        var (m0, m1) = (Vector256.Create((ulong)M0), Vector256.Create((ulong)M1));
        var x0 = Vector256.Create(counter) + Vector256<ulong>.Indices;
        var x1 = x0 + Vector256.Create(4UL);
        var (y0, z0, w0) = (x0 >>> 32, Vector256<ulong>.Zero, Vector256<ulong>.Zero);
        var (y1, z1, w1) = (x1 >>> 32, Vector256<ulong>.Zero, Vector256<ulong>.Zero);
        var (v0, v1) = (Vector256.Create(key), Vector256.Create(key >> 32));
        for (var round = 0; round < Rounds; round++)
        {
            var (a0, b0) = (Product(m0, x0), Product(m1, z0));
            var (a1, b1) = (Product(m0, x1), Product(m1, z1));
            (x0, y0, z0, w0) = (Xor(b0 >>> 32, y0, v0), b0, Xor(a0 >>> 32, w0, v1), a0);
            (x1, y1, z1, w1) = (Xor(b1 >>> 32, y1, v0), b1, Xor(a1 >>> 32, w1, v1), a1);
            (v0, v1) = (v0 + Vector256.Create((ulong)W0), v1 + Vector256.Create((ulong)W1));
        }

        Uniform(x0, x1).StoreUnsafe(ref destination);
        Uniform(y0, y1).StoreUnsafe(ref destination, 16);
        Uniform(z0, z1).StoreUnsafe(ref destination, 32);
        Uniform(w0, w1).StoreUnsafe(ref destination, 48);
    }

    /// <summary>The same with vectors twice as wide.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Sixteen(ulong key, ulong counter, ref float destination)
    {
        var (m0, m1) = (Vector512.Create((ulong)M0), Vector512.Create((ulong)M1));
        var x0 = Vector512.Create(counter) + Vector512<ulong>.Indices;
        var x1 = x0 + Vector512.Create(8UL);
        var (y0, z0, w0) = (x0 >>> 32, Vector512<ulong>.Zero, Vector512<ulong>.Zero);
        var (y1, z1, w1) = (x1 >>> 32, Vector512<ulong>.Zero, Vector512<ulong>.Zero);
        var (v0, v1) = (Vector512.Create(key), Vector512.Create(key >> 32));
        for (var round = 0; round < Rounds; round++)
        {
            var (a0, b0) = (Product(m0, x0), Product(m1, z0));
            var (a1, b1) = (Product(m0, x1), Product(m1, z1));
            (x0, y0, z0, w0) = (Xor(b0 >>> 32, y0, v0), b0, Xor(a0 >>> 32, w0, v1), a0);
            (x1, y1, z1, w1) = (Xor(b1 >>> 32, y1, v0), b1, Xor(a1 >>> 32, w1, v1), a1);
            (v0, v1) = (v0 + Vector512.Create((ulong)W0), v1 + Vector512.Create((ulong)W1));
        }

        Uniform(x0, x1).StoreUnsafe(ref destination);
        Uniform(y0, y1).StoreUnsafe(ref destination, 16);
        Uniform(z0, z1).StoreUnsafe(ref destination, 32);
        Uniform(w0, w1).StoreUnsafe(ref destination, 48);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<ulong> Xor(Vector256<ulong> a, Vector256<ulong> b, Vector256<ulong> c) =>
        Avx512F.VL.IsSupported ? Avx512F.VL.TernaryLogic(a, b, c, 0x96) : a ^ b ^ c;

    /// <summary>Of the lanes' lower halves. The general 64-bit product costs three times as much.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<ulong> Product(Vector256<ulong> a, Vector256<ulong> b) =>
        Avx2.IsSupported
            ? Avx2.Multiply(a.AsUInt32(), b.AsUInt32())
            : a * (b & Vector256.Create(0xffffffffUL));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Uniform(Vector256<ulong> lower, Vector256<ulong> upper) =>
        Vector256.ConvertToSingle((Vector256.Narrow(lower, upper) >>> 8).AsInt32()) * Vector256.Create(1f / (1 << 24));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> Xor(Vector512<ulong> a, Vector512<ulong> b, Vector512<ulong> c) =>
        Avx512F.IsSupported ? Avx512F.TernaryLogic(a, b, c, 0x96) : a ^ b ^ c;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> Product(Vector512<ulong> a, Vector512<ulong> b) =>
        Avx512F.IsSupported
            ? Avx512F.Multiply(a.AsUInt32(), b.AsUInt32())
            : a * (b & Vector512.Create(0xffffffffUL));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Uniform(Vector512<ulong> lower, Vector512<ulong> upper) =>
        Vector512.ConvertToSingle((Vector512.Narrow(lower, upper) >>> 8).AsInt32()) * Vector512.Create(1f / (1 << 24));
}
