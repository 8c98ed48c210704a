using System.Buffers.Binary;
using System.Text;

namespace Tva.Fuzz;

/// <summary>Safetensors files: the header's JSON changed token by token, its length and the data's, then bytes anywhere.</summary>
public sealed class SafetensorsTarget(string folder) : Target(folder)
{
    private static readonly string[] Names = ["a", "b.0.weight", "model.layers.12.q", "τ", "", "__metadata__", "x\\u0041"];
    private static readonly (string Name, int Size)[] Types =
        [("F64", 8), ("F32", 4), ("F16", 2), ("BF16", 2), ("F8_E4M3", 1), ("F8_E5M2", 1), ("I64", 8), ("I32", 4), ("I16", 2), ("I8", 1), ("U64", 8), ("U32", 4), ("U16", 2), ("U8", 1), ("BOOL", 1)];

    private static readonly string[] Words =
        [.. Types.Select(t => $"\"{t.Name}\""), "\"dtype\"", "\"shape\"", "\"data_offsets\"", "\"__metadata__\"", "\"a\"", "[0,4]", "[1,2]", "{\"format\":\"pt\"}"];

    public override byte[] Make(Random random)
    {
        var header = new StringBuilder(random.Next(2) == 0 ? "{\"__metadata__\":{\"format\":\"pt\",\"k\":\"v\"}," : "{");
        int tensors = random.Next(1, 5), end = 0;
        for (int i = 0; i < tensors; i++)
        {
            var (type, size) = Types[random.Next(Types.Length)];
            int rows = random.Next(4), columns = random.Next(1, 5);
            bool flat = random.Next(3) == 0;
            int bytes = size * (flat ? columns : rows * columns);
            header.Append($"{(i > 0 ? "," : "")}\"{Names[(i + random.Next(2)) % Names.Length]}{(random.Next(30) == 0 ? "" : i)}\":{{\"dtype\":\"{type}\",\"shape\":[{(flat ? "" : $"{rows},")}{columns}],\"data_offsets\":[{end},{end += bytes}]}}");
        }

        string json = header.Append('}').ToString();
        var text = random.Next(20) == 0 ? Encoding.UTF8.GetBytes(json) : JsonTokens.Damage(random, json, Words);
        var file = new byte[8 + text.Length + Math.Max(0, end + (random.Next(6) == 0 ? random.Next(-9, 10) : 0))];
        BinaryPrimitives.WriteInt64LittleEndian(file, text.Length + (random.Next(30) == 0 ? random.Next(-3, 4) : 0));
        text.CopyTo(file, 8);
        if (random.Next(60) == 0)
        {
            Bits.Write(random, file, 0, 8);
        }

        return random.Next(12) == 0 ? Bits.Damage(random, file) : file;
    }

    public override bool Run(byte[] input) => Use(Put("x.safetensors", input));
}
