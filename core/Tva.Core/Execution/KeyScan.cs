using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Tva.Core.Execution;

/// <summary>How a float's bits map to an integer that sorts as the selection does.</summary>
internal interface IKeyMap
{
    static abstract int Of(int bits);

    static abstract Vector256<int> Of(Vector256<int> bits);

    static abstract Vector512<int> Of(Vector512<int> bits);
}

/// <summary>By magnitude: bits without the sign. NaN sorts above infinity.</summary>
internal readonly struct MagnitudeKeys : IKeyMap
{
    public static int Of(int bits) => bits & int.MaxValue;

    public static Vector256<int> Of(Vector256<int> bits) => bits & Vector256.Create(int.MaxValue);

    public static Vector512<int> Of(Vector512<int> bits) => bits & Vector512.Create(int.MaxValue);
}

/// <summary>By value: negative numbers have their lower bits flipped. NaN sorts outside the infinities, its sign's side.</summary>
internal readonly struct OrderedKeys : IKeyMap
{
    public static int Of(int bits) => bits ^ ((bits >> 31) & int.MaxValue);

    public static Vector256<int> Of(Vector256<int> bits) => bits ^ ((bits >> 31) & Vector256.Create(int.MaxValue));

    public static Vector512<int> Of(Vector512<int> bits) => bits ^ ((bits >> 31) & Vector512.Create(int.MaxValue));
}

/// <summary>Where a selection looks: keys in [Low, High] are gathered, except Guess, which like those above High is only counted.</summary>
/// <param name="Low">Least key inside.</param>
/// <param name="High">Largest.</param>
/// <param name="Guess">The key that is counted and not gathered.</param>
public readonly record struct Bracket(int Low, int High, int Guess)
{
    /// <summary>All keys there are.</summary>
    public static Bracket Everything(bool magnitudes) => new(magnitudes ? 0 : int.MinValue, int.MaxValue, magnitudes ? 0 : int.MinValue);
}

/// <summary>
/// Comes in: a run of values and a bracket. Goes out: how many lie above it and at the guess, and the keys of the others inside, in order.
/// </summary>
internal static unsafe class KeyScan
{
    // Loops are compiled in full at once: a model of few cells is done before a second tier comes.
    /// <summary>Writes the gathered keys to <paramref name="destination"/> (room for n) and returns how many there are.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int Gather<TMap>(float* values, int n, Bracket bracket, int* destination, out int above, out int equal)
        where TMap : struct, IKeyMap
    {
        var bits = (int*)values;
        var i = 0;
        var count = Avx512F.IsSupported && bracket.High - bracket.Low != -1
            ? Compress<TMap>(bits, n, bracket, destination, ref i, out above, out equal)
            : Pick<TMap>(bits, n, bracket, destination, ref i, out above, out equal);
        for (; i < n; i++)
        {
            var key = TMap.Of(bits[i]);
            if (key > bracket.High)
            {
                above++;
            }
            else if (key == bracket.Guess)
            {
                equal++;
            }
            else if (key >= bracket.Low)
            {
                destination[count++] = key;
            }
        }

        return count;
    }

    /// <summary>
    /// The whole vectors, sixteen keys at a time and without branches, of any bracket but the whole range of integers: of BF16 differences a bracket holds 3 %, so that two
    /// vectors in five have a key to gather, and a test for that costs more in wrong guesses. The write behind the gathered keys
    /// stays inside the destination, which has room for as many as were read.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Compress<TMap>(int* bits, int n, Bracket bracket, int* destination, ref int i, out int above, out int equal)
        where TMap : struct, IKeyMap
    {
        var low = Vector512.Create(bracket.Low);
        var span = Vector512.Create((uint)(bracket.High - bracket.Low));
        var high = Vector512.Create(bracket.High);
        var guess = Vector512.Create(bracket.Guess);
        var outside = Vector512.Create(bracket.High - bracket.Low + 1);
        var one = Vector512<int>.One;
        var (aboveLanes, equalLanes) = (Vector512<int>.Zero, Vector512<int>.Zero);
        var (count, at) = (0, i);
        for (; at <= n - 16; at += 16)
        {
            var key = TMap.Of(Vector512.Load(bits + at));
            aboveLanes = Vector512.ConditionalSelect(Vector512.GreaterThan(key, high), aboveLanes + one, aboveLanes);
            equalLanes = Vector512.ConditionalSelect(Vector512.Equals(key, guess), equalLanes + one, equalLanes);
            // Written so that the JIT makes no vector of a mask and a mask of that again.
            var offset = Vector512.ConditionalSelect(Vector512.Equals(key, guess), outside, key - low).AsUInt32();
            Avx512F.Compress(Vector512<int>.Zero, Vector512.LessThanOrEqual(offset, span).AsInt32(), key).Store(destination + count);
            count += BitOperations.PopCount(Vector512.LessThanOrEqual(offset, span).ExtractMostSignificantBits());
        }

        i = at;
        above = Vector512.Sum(aboveLanes);
        equal = Vector512.Sum(equalLanes);
        return count;
    }

    /// <summary>The whole vectors, eight keys at a time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Pick<TMap>(int* bits, int n, Bracket bracket, int* destination, ref int i, out int above, out int equal)
        where TMap : struct, IKeyMap
    {
        var low = Vector256.Create(bracket.Low);
        var high = Vector256.Create(bracket.High);
        var guess = Vector256.Create(bracket.Guess);
        var (aboveLanes, equalLanes) = (Vector256<int>.Zero, Vector256<int>.Zero);
        var (count, at) = (0, i);
        for (; at <= n - 8; at += 8)
        {
            var key = TMap.Of(Vector256.Load(bits + at));
            var isAbove = Vector256.GreaterThan(key, high);
            var isGuess = Vector256.Equals(key, guess);
            aboveLanes -= isAbove;
            equalLanes -= isGuess;
            var inside = Vector256.AndNot(Vector256.GreaterThanOrEqual(key, low), isAbove | isGuess).ExtractMostSignificantBits();
            while (inside != 0)
            {
                destination[count++] = TMap.Of(bits[at + BitOperations.TrailingZeroCount(inside)]);
                inside &= inside - 1;
            }
        }

        i = at;
        above = Vector256.Sum(aboveLanes);
        equal = Vector256.Sum(equalLanes);
        return count;
    }

    /// <summary>The keys of all values; in place is allowed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Map<TMap>(float* values, long n, int* destination)
        where TMap : struct, IKeyMap
    {
        for (long i = 0; i < n; i++)
        {
            destination[i] = TMap.Of(((int*)values)[i]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static bool AnyNaN(float* values, long n)
    {
        for (; n >= 8; n -= 8, values += 8)
        {
            var x = Vector256.Load(values);
            if (!Vector256.EqualsAll(x, x))
            {
                return true;
            }
        }

        for (; n > 0; n--, values++)
        {
            if (float.IsNaN(*values))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Index of the <paramref name="nth"/> (from 1) value with that magnitude key.</summary>
    public static int IndexOf(float* values, int n, int key, long nth)
    {
        for (var i = 0; i < n; i++)
        {
            if (MagnitudeKeys.Of(((int*)values)[i]) == key && --nth == 0)
            {
                return i;
            }
        }

        throw new InvalidOperationException("a selection's tie is not where it was counted: an input changed while it was read");
    }
}
