using System.Buffers.Binary;
using System.Text;
using Tva.Core.Checkpoints;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Every refusal of a file, by name; then a few thousand files damaged at random.</summary>
public sealed class HostileHeaderTests : IDisposable
{
    private const string One = """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""";
    private readonly TempFolder folder = new();

    public void Dispose() => folder.Dispose();

    // Data is 8 zero bytes unless the case says otherwise.
    [Theory]
    [InlineData("begins with a blank", " " + One, "doesn't begin with '{'")]
    [InlineData("byte order mark", "\uFEFF" + One, "doesn't begin with '{'")]
    [InlineData("array", "[1]", "doesn't begin with '{'")]
    [InlineData("empty header", "", "doesn't begin with '{'")]
    [InlineData("cut JSON", """{"a":{"dtype":"F32",""", "not valid JSON")]
    [InlineData("text behind the end", One + "x", "not valid JSON")]
    [InlineData("two objects", One + One, "not valid JSON")]
    [InlineData("comment", "{/* */}", "not valid JSON")]
    [InlineData("trailing comma", """{"a":{"dtype":"F32","shape":[2,],"data_offsets":[0,8]}}""", "not valid JSON")]
    [InlineData("leading zero", """{"a":{"dtype":"F32","shape":[02],"data_offsets":[0,8]}}""", "not valid JSON")]
    [InlineData("half a surrogate pair", """{"\ud800":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", "not valid Unicode")]
    [InlineData("tensor twice",
        """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", "'a': is in the header twice")]
    [InlineData("tensor twice, once escaped",
        """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", "'a': is in the header twice")]
    [InlineData("tensor is a number", """{"a":1}""", "'a': is not an object")]
    [InlineData("tensor is a list", """{"a":["F32",[2],[0,8]]}""", "'a': is not an object")]
    [InlineData("unknown dtype", """{"a":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}""", "'a': its dtype is 'C64'; known ones are F64, F32")]
    [InlineData("dtype in lower case", """{"a":{"dtype":"f32","shape":[2],"data_offsets":[0,8]}}""", "'a': its dtype is 'f32'")]
    [InlineData("dtype is a number", """{"a":{"dtype":32,"shape":[2],"data_offsets":[0,8]}}""", "'a': its dtype is not a text")]
    [InlineData("no dtype", """{"a":{"shape":[2],"data_offsets":[0,8]}}""", "'a': has no dtype")]
    [InlineData("no shape", """{"a":{"dtype":"F32","data_offsets":[0,8]}}""", "'a': has no shape")]
    [InlineData("no data_offsets", """{"a":{"dtype":"F32","shape":[2]}}""", "'a': has no data_offsets")]
    [InlineData("dtype twice", """{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", "'a': has dtype twice")]
    [InlineData("shape twice", """{"a":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}}""", "'a': has shape twice")]
    [InlineData("offsets twice", """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"data_offsets":[0,8]}}""", "'a': has data_offsets twice")]
    [InlineData("shape is a number", """{"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}""", "'a': its shape is not a list")]
    [InlineData("negative dimension", """{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}""", "'a': its shape has something other than whole")]
    [InlineData("minus zero", """{"a":{"dtype":"F32","shape":[2,-0],"data_offsets":[0,8]}}""", "'a': its shape has something other than whole")]
    [InlineData("fraction", """{"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}""", "'a': its shape has something other than whole")]
    [InlineData("exponent", """{"a":{"dtype":"F32","shape":[2e0],"data_offsets":[0,8]}}""", "'a': its shape has something other than whole")]
    [InlineData("dimension is a text", """{"a":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}}""", "'a': its shape has something other than whole")]
    [InlineData("nested shape", """{"a":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}}""", "'a': its shape has something other than whole")]
    [InlineData("dimension past 64 bits",
        """{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,8]}}""", "'a': its shape has something other than whole")]
    [InlineData("elements overflow", """{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}""", "more elements than any file")]
    [InlineData("elements overflow before a zero",
        """{"a":{"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}}""", "more elements than any file")]
    [InlineData("bytes overflow", """{"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,8]}}""", "needs more than any file has")]
    [InlineData("bytes overflow to the right number", """{"a":{"dtype":"F64","shape":[2305843009213693953],"data_offsets":[0,8]}}""", "needs more than any file has")]
    [InlineData("offsets end before they begin", """{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", "'a': its data_offsets [8, 0] end before they begin")]
    [InlineData("one offset", """{"a":{"dtype":"F32","shape":[2],"data_offsets":[8]}}""", "'a': its data_offsets are 1 numbers instead of two")]
    [InlineData("three offsets", """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4,8]}}""", "'a': its data_offsets are 3 numbers")]
    [InlineData("negative offset", """{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}""", "'a': its data_offsets has something other")]
    [InlineData("does not begin at 0", """{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", "begins at byte 4, leaving a hole: expected 0, where the data begins")]
    [InlineData("gap", """{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}""",
        "'b': begins at byte 4, leaving a hole: expected 2, where tensor 'a' ends")]
    [InlineData("overlap", """{"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}""",
        "'b': begins at byte 4, inside tensor 'a': expected 5")]
    [InlineData("same bytes twice", """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""",
        "'b': begins at byte 0, inside tensor 'a'")]
    [InlineData("shorter than its shape", """{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,8]}}""", "'a': its data_offsets hold 8 bytes, F32 [2, 3] needs 24")]
    [InlineData("longer than its shape", """{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,8]}}""", "'a': its data_offsets hold 8 bytes, F16 [2] needs 4")]
    [InlineData("data cut off", """{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}""", "'a': ends at byte 16 of the data, of which the file has 8")]
    [InlineData("offsets far past the end",
        """{"a":{"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807]}}""", "of which the file has 8")]
    [InlineData("trailing bytes", """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", "has 4 bytes that belong to no tensor")]
    [InlineData("data without tensors", "{}", "has 8 bytes that belong to no tensor")]
    [InlineData("metadata is a list", """{"__metadata__":[]}""", "__metadata__ is not an object of texts")]
    [InlineData("metadata holds a number", """{"__metadata__":{"k":1}}""", "__metadata__ 'k' is not a text")]
    [InlineData("metadata twice", """{"__metadata__":{},"__metadata__":{}}""", "__metadata__ twice")]
    public void Refused(string what, string header, string expected)
    {
        string path = folder.Put("x.safetensors", header, new byte[8]);
        var fault = Assert.Throws<FaultException>(() => Checkpoint.Open(path));
        Assert.StartsWith(path + ": ", fault.Message);
        Assert.True(fault.Message.Contains(expected), $"{what}: {fault.Message}");
    }

    [Fact]
    public void Invalid_utf8_is_refused()
    {
        var bytes = TempFolder.Safetensors(One, new byte[8]);
        bytes[10] = 0xFF;
        Refuse(bytes, "not valid UTF-8");
    }

    [Fact]
    public void A_file_of_less_than_eight_bytes_is_refused() => Refuse([1, 0, 0], "has 3 bytes and a safetensors file at least 8");

    [Fact]
    public void An_empty_file_is_refused() => Refuse([], "has 0 bytes");

    [Fact]
    public void A_header_longer_than_the_file_is_refused() => Refuse([200, 0, 0, 0, 0, 0, 0, 0, (byte)'{'], "header length of 200 bytes and has only 1");

    [Fact]
    public void A_header_length_over_the_limit_is_refused()
    {
        var bytes = TempFolder.Safetensors(One, new byte[8]);
        BinaryPrimitives.WriteInt64LittleEndian(bytes, 100_000_001);
        Refuse(bytes, "100000001 bytes, more than the 100000000 allowed");
    }

    [Fact]
    public void A_header_length_with_the_top_bit_set_is_refused()
    {
        var bytes = TempFolder.Safetensors(One, new byte[8]);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, ulong.MaxValue - 3);
        Refuse(bytes, "header length of 18446744073709551612 bytes");
    }

    [Fact]
    public void A_git_lfs_pointer_says_how_to_fetch_the_file() =>
        Refuse("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"u8.ToArray(), "git lfs pull");

    [Fact]
    public void PyTorch_files_are_named_as_such()
    {
        Refuse([(byte)'P', (byte)'K', 3, 4, 0, 0, 8, 8, 0, 0], "is a PyTorch file");
        Refuse([0x80, 2, (byte)'}', (byte)'q', 0, 0, 8, 8, 0, 0], "is a PyTorch file");
    }

    [Fact]
    public void Deep_nesting_in_an_unknown_key_is_refused()
    {
        string deep = new string('[', 5000) + new string(']', 5000);
        string header = One.Replace("\"dtype\"", $"\"x\":{deep},\"dtype\"");
        Refuse(TempFolder.Safetensors(header, new byte[8]), "not valid JSON");
    }

    [Fact]
    public void A_name_with_terminal_codes_is_shown_escaped_and_short()
    {
        string header = $$$"""{"\u001b[2J{{{new string('n', 10_000)}}}":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""";
        var fault = Refuse(TempFolder.Safetensors(header, new byte[8]), "'\\u001b[2Jnnn");
        Assert.DoesNotContain('\u001b', fault.Message);
        Assert.True(fault.Message.Length < 1000);
    }

    [Fact]
    public void A_shape_of_a_million_dimensions_makes_no_endless_message()
    {
        string header = $$$"""{"a":{"dtype":"F32","shape":[{{{string.Join(",", Enumerable.Repeat("1", 1_000_000))}}}],"data_offsets":[0,8]}}""";
        Assert.True(Refuse(TempFolder.Safetensors(header, new byte[8]), "its shape has more than 1024 numbers").Message.Length < 1000);
    }

    [Fact]
    public void A_damaged_file_opens_or_is_a_fault_and_nothing_else()
    {
        var random = new Random(20240817);
        string header = """
            {"__metadata__":{"format":"pt","note":"\u03c4"},"a.0.w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},
            "a.1.w":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},"b":{"dtype":"BOOL","shape":[],"data_offsets":[32,33]}}
            """;
        var valid = TempFolder.Safetensors(header, new byte[33]);
        string[] tokens = ["{", "}", "[", "]", ",", ":", "\"", "\\", "-", "0", "18446744073709551616", "null", "\\ud800", "\"a.0.w\"", " ", "\0"];
        int opened = 0, refused = 0;
        for (int i = 0; i < 4000; i++)
        {
            var bytes = valid.ToList();
            for (int edits = random.Next(1, 4); edits > 0; edits--)
            {
                // Mostly in the header, whose length prefix then often disagrees; every other time it is mended.
                int at = Math.Min(random.Next(10) == 0 ? random.Next(8) : random.Next(8, 8 + header.Length), bytes.Count - 1);
                switch (random.Next(5))
                {
                    case 0: bytes[at] = (byte)random.Next(256); break;
                    case 1: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                    case 2: bytes.RemoveRange(at, Math.Min(random.Next(1, 30), bytes.Count - at)); break;
                    case 3: bytes.InsertRange(at, Encoding.UTF8.GetBytes(tokens[random.Next(tokens.Length)])); break;
                    default: bytes.InsertRange(at, bytes.GetRange(at, Math.Min(random.Next(1, 80), bytes.Count - at))); break;
                }

                if (bytes.Count < 16)
                {
                    break;
                }
            }

            var file = bytes.ToArray();
            if (i % 2 == 0 && file.Length >= 41)
            {
                BinaryPrimitives.WriteInt64LittleEndian(file, file.Length - 41);
            }

            string path = folder.Put("m.safetensors", file);
            try
            {
                using var checkpoint = Checkpoint.Open(path);
                opened++;

                // Whatever opens can be read to its last byte.
                foreach (var tensor in checkpoint.Tensors)
                {
                    checkpoint.Read(tensor, 0, new byte[tensor.Bytes]);
                }
            }
            catch (FaultException fault)
            {
                refused++;
                Assert.StartsWith(path, fault.Message);
            }
        }

        Assert.True(opened > 50 && refused > 1000, $"{opened} opened, {refused} refused: the mutations test nothing");
    }

    private FaultException Refuse(byte[] content, string expected)
    {
        string path = folder.Put("x.safetensors", content);
        var fault = Assert.Throws<FaultException>(() => Checkpoint.Open(path));
        Assert.StartsWith(path + ": ", fault.Message);
        Assert.Contains(expected, fault.Message);
        return fault;
    }
}
