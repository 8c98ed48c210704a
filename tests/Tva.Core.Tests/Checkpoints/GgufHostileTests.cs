using Tva.Core.Checkpoints;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Every refusal of a GGUF file, by name: each names the file, the place and what was expected.</summary>
public sealed class GgufHostileTests : IDisposable
{
    private readonly TempFolder folder = new();

    public void Dispose() => folder.Dispose();

    public static TheoryData<string, byte[], string> Refusals()
    {
        var four = new byte[4];
        var data = new TheoryData<string, byte[], string>
        {
            { "empty", [], "has 0 bytes, too few for a GGUF file" },
            { "another format", "PK\x03\x04 and so on"u8.ToArray(), "doesn't begin with GGUF (found 504b0304, expected 47475546)" },
            { "Git LFS pointer", "version https://git-lfs.github.com/spec/v1"u8.ToArray(), "is a Git LFS pointer" },
            { "cut in the version", "GGUF\x03"u8.ToArray(), "header at byte 4: the version takes 4 bytes and 1 are left" },
            { "version 1", new GgufBytes { Version = 1 }.Bytes(), "is GGUF of version 1; versions 2 and 3 are read; convert the model again" },
            { "version 4", new GgufBytes { Version = 4 }.Bytes(), "newer than this reader" },
            { "big-endian", new GgufBytes { Version = 0x03000000 }.Bytes(), "was written for big-endian machines" },
            { "keys bomb", new GgufBytes { Pairs = ulong.MaxValue }.Bytes(), "should hold 18446744073709551615 keys in 8 bytes" },
            { "tensors bomb", new GgufBytes { Tensors = 1UL << 40 }.Bytes(), "should list 1099511627776 tensors in 8 bytes" },
            { "endless key", new GgufBytes().Key("", 8).Bytes()[..24].Concat(GgufBytes.U64(1UL << 60)).Concat(new byte[20]).ToArray(), "key 1 of 1 has 1152921504606846976 bytes and may have 65535" },
            { "key not UTF-8", [.. new GgufBytes { Pairs = 1 }.Bytes()[..24], .. GgufBytes.U64(1), 0xFF, .. new byte[20]], "key 1 of 1 is not valid UTF-8" },
            { "key twice", new GgufBytes().Key("a", 1u).Key("a", 2u).Bytes(), "has the key 'a' a second time, at byte 41" },
            { "unknown value", new GgufBytes().Key("a", 13, new byte[32]).Bytes(), "'a' has a value of type 13; known ones are 0 to 12" },
            { "a truth of 2", new GgufBytes().Key("a", 7, 2).Bytes(), "'a' is 2; expected 0 (false) or 1 (true)" },
            { "text cut", new GgufBytes().Key("a", 8, GgufBytes.U64(1UL << 62)).Bytes(), "'a' takes 4611686018427387904 bytes and " },
            { "array bomb", new GgufBytes().Array("a", 8, 1UL << 61).Bytes(), "'a' should have 2305843009213693952 items of at least 8 bytes" },
            { "array of unknown", new GgufBytes().Array("a", 99, 1, new byte[40]).Bytes(), "'a' has items of type 99" },
            { "array in array in array in array in array in array", new GgufBytes().Array("a", 9, 1, [.. Enumerable.Repeat((byte[])[.. GgufBytes.U32(9), .. GgufBytes.U64(1)], 6).SelectMany(x => x)]).Bytes(), "'a' nests arrays more than 4 deep" },
            { "alignment 0", new GgufBytes().Key("general.alignment", 0u).Bytes(), "general.alignment is '0'; expected a power of two from 8" },
            { "alignment 24", new GgufBytes().Key("general.alignment", 24u).Bytes(), "general.alignment is '24'" },
            { "alignment of 1 GiB", new GgufBytes().Key("general.alignment", 1u << 30).Bytes(), "general.alignment is '1073741824'" },
            { "alignment is a text", new GgufBytes().Key("general.alignment", "-8").Bytes(), "general.alignment is '-8'" },
            { "tensor twice", new GgufBytes().Tensor("t", 0, [1], four).Tensor("t", 0, [1], four).Bytes(), "lists tensor 't' twice" },
            { "long name", new GgufBytes().Tensor(new string('t', 1025), 0, [1], four).Bytes(), "the name of tensor 1 of 1 has 1025 bytes and may have 1024" },
            { "nine dimensions", new GgufBytes().Tensor("t", 0, [1, 1, 1, 1, 1, 1, 1, 1, 1], four).Bytes(), "tensor 't' has 9 dimensions and may have 8" },
            { "absurd shape", new GgufBytes().Tensor("t", 0, [1L << 40, 1L << 40], four).Bytes(), "tensor 't' has a dimension of 1099511627776 behind 1099511627776 elements" },
            { "absurd shape with a zero", new GgufBytes().Tensor("t", 0, [1L << 40, 0, 1L << 40], four).Bytes(), "more than any file has" },
            { "negative dimension", new GgufBytes().Tensor("t", 0, [-1], four).Bytes(), "tensor 't' has a dimension of 18446744073709551615" },
            { "unread type", new GgufBytes().Tensor("t", 23, [256], four).Bytes(), "tensor 't' is kept as IQ4_XS; F32, F16, BF16" },
            { "unknown type", new GgufBytes().Tensor("t", 77, [256], four).Bytes(), "tensor 't' is kept as number 77" },
            { "rows of broken blocks", new GgufBytes().Tensor("t", 8, [32, 33], new byte[1122]).Bytes(), "tensor 't' has rows of 33 elements, and Q8_0 keeps blocks of 32" },
            { "offset between", new GgufBytes().Tensor("t", 0, [1], new byte[64], offset: 4).Bytes(), "tensor 't' lies at 4 of the data, which is no multiple of 32" },
            { "offset behind the end", new GgufBytes().Tensor("t", 0, [1], four, offset: 1UL << 63).Bytes(), "needs 4 bytes at 9223372036854775808 of the data, of which the file has 32" },
            { "data cut off", new GgufBytes().Tensor("t", 0, [9], four).Bytes(), "tensor 't': F32 [9] needs 36 bytes at 0 of the data, of which the file has 32: it is cut off" },
            { "no data at all", new GgufBytes().Tensor("t", 0, [9], []).Bytes(), "of which the file has 0" },
            { "overlap", new GgufBytes().Tensor("t", 0, [16], new byte[64]).Tensor("u", 0, [1], four, offset: 32).Bytes(), "tensor 't': F32 [16] needs 64 bytes at 0 of the data, and tensor 'u' begins at 32" },
        };
        return data;
    }

    [Theory]
    [MemberData(nameof(Refusals))]
    public void Refused(string what, byte[] file, string expected)
    {
        string path = folder.Put("x.gguf", file);
        long before = GC.GetAllocatedBytesForCurrentThread();
        var fault = Assert.Throws<FaultException>(() => Checkpoint.Open(path));
        Assert.StartsWith(path + ": ", fault.Message);
        Assert.Contains(expected, fault.Message);
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 1 << 20, what);
    }

    [Fact]
    public void A_file_cut_anywhere_is_a_fault()
    {
        var whole = new GgufBytes().Key("a", "b").Array("c", 8, 2, GgufBytes.Text("x"), GgufBytes.Text("yz")).Tensor("t", 8, [2, 32], new byte[68]).Bytes();
        using (Checkpoint.Open(folder.Put("x.gguf", whole)))
        {
        }

        int last = whole.Length - (-68 & 31); // what pads the last tensor may be missing
        for (int length = 0; length < last; length++)
        {
            folder.Put("x.gguf", whole[..length]);
            Assert.Throws<FaultException>(() => Checkpoint.Open(folder["x.gguf"]));
        }
    }
}
