using System.Globalization;
using System.Text;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: the key-value pairs of a GGUF header. Goes out: each as a text, long ones and arrays by their beginnings; and apart those that are
/// whole.
/// </summary>
internal static class GgufMetadata
{
    private const int MaxPairs = 1 << 16;
    private const int MaxKeyBytes = 65535; // of the specification
    private const int MaxTextBytes = 400;
    private const int ShownItems = 6;
    private const int ShownItemBytes = 24;
    private const int MaxDepth = 4;
    private const uint Text = 8;
    private const uint Array = 9;
    private const int LeastPairBytes = 8 + 4 + 1;

    /// <summary>Bytes of a number of each type; 0 of a text or an array.</summary>
    private static ReadOnlySpan<byte> Sizes => [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];

    public static (Dictionary<string, string> All, Dictionary<string, string> Whole) Read(FileCursor cursor, ulong count)
    {
        if (count > MaxPairs || count > (ulong)(cursor.Left / LeastPairBytes))
        {
            cursor.Throw($"should hold {count} keys in {cursor.Left} bytes (at most {MaxPairs} are read); this is no GGUF file or it is damaged");
        }

        Dictionary<string, string> pairs = [], whole = [];
        for (ulong i = 0; i < count; i++)
        {
            long at = cursor.At;
            string key = cursor.Text(MaxKeyBytes, $"key {i + 1} of {count}");
            string name = Quoted.Name(key);
            uint type = cursor.U32($"the type of {name}");
            long start = cursor.At;
            string value = Value(cursor, type, name, 0);
            if (!pairs.TryAdd(key, value))
            {
                cursor.Throw($"has the key {name} a second time, at byte {at}; the file was written wrongly or is damaged");
            }

            if (type != Array && cursor.At - start <= sizeof(ulong) + MaxTextBytes)
            {
                whole.Add(key, value);
            }
        }

        return (pairs, whole);
    }

    private static string Value(FileCursor cursor, uint type, string key, int depth)
    {
        switch (type)
        {
            case Text:
                return cursor.Beginning(depth == 0 ? MaxTextBytes : ShownItemBytes, key);
            case Array:
                var shown = new StringBuilder();
                Items(cursor, key, depth, shown);
                return shown.ToString();
            case < 13:
                return Number(cursor, type, key);
            default:
                cursor.Throw($"{key} has a value of type {type}; known ones are 0 to 12; the file is damaged or newer than this reader");
                return "";
        }
    }

    private static string Number(FileCursor cursor, uint type, string key)
    {
        switch (type)
        {
            case 0:
                return Shown(cursor.U8(key));
            case 1:
                return Shown((sbyte)cursor.U8(key));
            case 2:
                return Shown(cursor.U16(key));
            case 3:
                return Shown((short)cursor.U16(key));
            case 4:
                return Shown(cursor.U32(key));
            case 5:
                return Shown((int)cursor.U32(key));
            case 6:
                return Shown(BitConverter.UInt32BitsToSingle(cursor.U32(key)));
            case 7:
                byte truth = cursor.U8(key);
                if (truth > 1)
                {
                    cursor.Throw($"{key} is {truth}; expected 0 (false) or 1 (true); the file is damaged");
                }

                return truth == 1 ? "true" : "false";
            case 10:
                return Shown(cursor.U64(key));
            case 11:
                return Shown((long)cursor.U64(key));
            default:
                return Shown(BitConverter.UInt64BitsToDouble(cursor.U64(key)));
        }

        static string Shown(IFormattable number) => number.ToString(null, CultureInfo.InvariantCulture);
    }

    /// <summary>Passes over an array; shows its beginning where somebody wants to see it.</summary>
    private static void Items(FileCursor cursor, string key, int depth, StringBuilder? shown)
    {
        uint type = cursor.U32(key);
        ulong count = cursor.U64(key);
        if (depth == MaxDepth)
        {
            cursor.Throw($"{key} nests arrays more than {MaxDepth} deep; this is no GGUF file or it is damaged");
        }

        if (type > 12)
        {
            cursor.Throw($"{key} has items of type {type}; known ones are 0 to 12; the file is damaged or newer than this reader");
        }

        int least = type == Text ? 8 : type == Array ? 12 : Sizes[(int)type];
        if (count > (ulong)(cursor.Left / least))
        {
            cursor.Throw($"{key} should have {count} items of at least {least} bytes, and {cursor.Left} bytes are left; the file is cut off or damaged");
        }

        ulong i = 0;
        if (shown is not null)
        {
            shown.Append('[');
            for (; i < count && i < ShownItems; i++)
            {
                shown.Append(i == 0 ? "" : ", ").Append(Value(cursor, type, key, depth + 1));
            }

            shown.Append(count > ShownItems ? $", ... {count} items]" : "]");
        }

        if (type is not (Text or Array))
        {
            cursor.Skip((count - i) * (ulong)least, key);
            return;
        }

        for (; i < count; i++)
        {
            if (type == Text)
            {
                cursor.Skip(cursor.U64(key), key);
            }
            else
            {
                Items(cursor, key, depth + 1, null);
            }
        }
    }
}
