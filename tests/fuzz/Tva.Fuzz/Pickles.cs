using Tva.Core.Tests;

namespace Tva.Fuzz;

/// <summary>Good pickles of state dicts, training states and whole modules; and others made from their opcodes.</summary>
internal static class Pickles
{
    /// <summary>Over the storages '0' of 24 bytes and '1' of 8.</summary>
    public static readonly byte[][] Good =
    [
        new PickleBytes(4).Raw(0x95).U64(9).Op('}').Raw(0x94).Op('(').ShortText("w").Raw(0x94).Tensor("FloatStorage", "0", 6, 0, [2, 3], [1, 2])
            .ShortText("n").Op("}(").Int(3).Tensor("HalfStorage", "1", 4, 1, [3], [1]).Op('u').Text("lr").Real(0.5).Text("l").Op("](NK\u0001eu").Stop(),
        new PickleBytes().Op("}(").Text("a.b").Tensor("DoubleStorage", "0", 3, 1, [2], [1]).Text("c").Tensor("LongStorage", "1", 1, 0, [1, 1, 1], [7, 7, 7])
            .Text("args").Global("argparse", "Namespace").Op(")").Raw(0x81).Op('}').Text("lr").Real(1).Op("sb").Text("big").Raw(0x8A, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9)
            .Text("set").Raw(0x8F).Op("(NN").Raw(0x90).Text("raw").Raw((byte)'C', 2, 1, 2).Op('u').Stop(),
        new PickleBytes().Global("__main__", "Net").Raw((byte)'q', 0).Op(')').Raw(0x81).Raw((byte)'q', 1).Op("}(").Text("_parameters").Global("collections", "OrderedDict").Op(")R(").Text("w")
            .Global("torch._utils", "_rebuild_parameter").Op('(').Tensor("FloatStorage", "0", 6, 0, [3, 2], [2, 1]).Raw(0x88).Global("collections", "OrderedDict").Op(")RtRu")
            .Text("_buffers").Op('}').Text("b").Tensor("ByteStorage", "1", 8, 0, [8], [1]).Op('s').Text("_non_persistent_buffers_set").Global("builtins", "set").Op("](")
            .Text("b").Op('e').Raw(0x85).Op('R').Text("_modules").Op('}').Text("child").Raw((byte)'h', 0).Op(')').Raw(0x81).Op("}(").Text("_parameters").Op('}').Text("_modules").Op('}').Text("owner")
            .Raw((byte)'h', 1).Op("ubsub").Stop(),
        new PickleBytes().Op("}(").Text("model").Op("}(").Text("w").Tensor("BFloat16Storage", "1", 4, 0, [4], [0]).Op("u").Text("optimizer").Op("}(").Text("state").Op("}(").Int(0)
            .Tensor("IntStorage", "1", 2, 0, [2], [1]).Op("u").Text("groups").Op("](").Tuple(1, 2).Op("eu").Text("d").Global("collections", "defaultdict").Global("builtins", "list").Raw(0x85)
            .Op('R').Int(1 << 20).Op("}su").Stop(),
    ];

    private static readonly byte[][][] Parts = [.. Good.Select(p => Split(p))];

    // Whole groups of opcodes that mean something together, and single ones that hardly occur.
    private static readonly byte[][] Odd =
    [
        [(byte)'0'], [(byte)'1'], [(byte)'2'], [(byte)'l'], [(byte)'d'], [(byte)'b'], [(byte)'R'], [0x81], [0x92], [0x8F], [0x90], [0x91], [0x94], [0x93], [(byte)'('], [(byte)')'], [(byte)'}'], [(byte)']'],
        [(byte)'Q'], [(byte)'t'], [0x85], [0x86], [0x87], [(byte)'s'], [(byte)'u'], [(byte)'a'], [(byte)'e'], [(byte)'.'], [0x80, 4], [0x97], [(byte)'h', 0], [(byte)'q', 0],
        [0x8B, 255, 255, 255, 255], [0x8B, 8, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8], [(byte)'T', 0, 0, 0, 0], [(byte)'U', 1, 255], [(byte)'B', 1, 0, 0, 0, 1], [0x8E, 1, 0, 0, 0, 0, 0, 0, 0, 1],
        .. "os\nsystem\n|builtins\neval\n|torch\nSize\n|torch\nTensor\n|torch._tensor\n_rebuild_from_type_v2\n|torch._utils\n_rebuild_tensor_v3\n|torch\nfloat16\n|torch.storage\nUntypedStorage\n|x\ny\n|__torch__\nM\n|torch._utils\n_rebuild_qtensor\n"
            .Split('|').Select(name => System.Text.Encoding.ASCII.GetBytes("c" + name)),
    ];

    public static byte[] Damage(Random random)
    {
        int which = random.Next(Parts.Length);
        return Damage(random, [.. Parts[which]], Parts[random.Next(Parts.Length)]);
    }

    public static byte[] Damage(Random random, byte[] pickle)
    {
        var parts = Split(pickle);
        return Damage(random, [.. parts], parts);
    }

    private static byte[] Damage(Random random, List<byte[]> parts, byte[][] other)
    {
        for (int k = random.Next(1, 5); k > 0 && parts.Count > 0; k--)
        {
            int at = random.Next(parts.Count), length = random.Next(1, Math.Min(10, parts.Count - at + 1));
            switch (random.Next(9))
            {
                case 0:
                    parts.RemoveRange(at, length);
                    break;
                case 1:
                    parts.InsertRange(at, parts.GetRange(at, length));
                    break;
                case 2:
                    var moved = parts.GetRange(at, length);
                    parts.RemoveRange(at, length);
                    parts.InsertRange(random.Next(parts.Count + 1), moved);
                    break;
                case 3:
                    int from = random.Next(other.Length);
                    parts.InsertRange(at, other[from..Math.Min(other.Length, from + random.Next(1, 20))]);
                    break;
                case 4:
                    parts.Insert(at, Odd[random.Next(Odd.Length)]);
                    break;
                case 5:
                    parts[at] = Odd[random.Next(Odd.Length)];
                    break;
                case 6 when random.Next(20) == 0:
                    // The same again and again.
                    var again = Odd[random.Next(Odd.Length)];
                    parts.InsertRange(at, Enumerable.Repeat(again, 1 << random.Next(14)));
                    break;
                default:
                    if (parts[at].Length > 1)
                    {
                        var changed = parts[at].ToArray();
                        Bits.Write(random, changed, random.Next(1, changed.Length), 1 << random.Next(4));
                        parts[at] = changed;
                    }

                    break;
            }
        }

        byte[] bytes = [.. parts.SelectMany(p => p)];
        return random.Next(8) == 0 ? Bits.Damage(random, bytes) : bytes;
    }

    /// <summary>A pickle's opcodes with their arguments.</summary>
    private static byte[][] Split(byte[] pickle)
    {
        var parts = new List<byte[]>();
        for (int at = 0; at < pickle.Length;)
        {
            int length = pickle[at] switch
            {
                (byte)'K' or (byte)'q' or (byte)'h' or 0x80 => 2,
                (byte)'M' => 3,
                (byte)'J' or (byte)'r' or (byte)'j' => 5,
                (byte)'G' or 0x95 => 9,
                0x8A or 0x8C or (byte)'C' or (byte)'U' => 2 + pickle[at + 1],
                (byte)'X' or (byte)'B' or (byte)'T' => 5 + BitConverter.ToInt32(pickle, at + 1),
                (byte)'c' => Array.IndexOf(pickle, (byte)'\n', Array.IndexOf(pickle, (byte)'\n', at) + 1) + 1 - at,
                _ => 1,
            };
            parts.Add(pickle[at..(at + length)]);
            at += length;
        }

        return [.. parts];
    }
}
