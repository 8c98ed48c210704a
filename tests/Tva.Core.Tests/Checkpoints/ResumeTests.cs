using Tva.Core.Checkpoints;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>What a writer takes over from a run that was stopped, and from an output that is there; what it does not.</summary>
public sealed class ResumeTests : IDisposable
{
    private static readonly (string Name, DType DType, Shape Shape)[] Tensors =
        [.. Enumerable.Range(0, 6).Select(i => ($"w{i} \"τ\n", DType.U8, new Shape(1000 + i)))];

    private readonly TempFolder folder = new();

    public static TheoryData<bool> Forms => [false, true];

    public void Dispose() => folder.Dispose();

    [Theory]
    [MemberData(nameof(Forms))]
    public void AStoppedRunIsGoneOnWith(bool sharded)
    {
        var reference = Reference(sharded);
        Remove(sharded);
        using (var first = Open(sharded, new WriteOptions { Resume = true, Plans = Plans(1) }))
        {
            Put(first, 0, 2, 3);
            first.Write(1, 0, new byte[500]); // half of one
        }

        Assert.False(File.Exists(Target(sharded)) || Directory.Exists(Target(sharded)));
        using (var second = Open(sharded, new WriteOptions { Resume = true, Plans = Plans(1) }))
        {
            Assert.Equal([true, false, true, true, false, false], Enumerable.Range(0, 6).Select(second.Has));
            Assert.Equal((3, 0, false), (second.Report!.Resumed, second.Report.Reused, second.Report.Unchanged));

            // What comes again of a finished tensor is left aside.
            second.Write(2, 0, new byte[1002]);
            Put(second, 1, 4, 5);
            second.Commit();
        }

        Assert.Equal(reference, Digest(sharded));
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path, "*.partial"));
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void OtherInputsOrAnotherPlanBeginAnew(bool sharded)
    {
        foreach (var other in (WriteOptions[])[
            new() { Resume = true, Plans = Plans(2) }, new() { Resume = true, Plans = Plans(1), Inputs = "other times" }])
        {
            using (var first = Open(sharded, new WriteOptions { Resume = true, Plans = Plans(1) }))
            {
                Put(first, 0, 1, 2, 3, 4);
            }

            using var second = Open(sharded, other);
            Assert.Equal(0, second.Report!.Resumed);
            Assert.NotNull(second.Report.Restarted);
            Assert.DoesNotContain(true, Enumerable.Range(0, 6).Select(second.Has));
        }
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void WithoutAskingNothingIsLeftAndNothingTakenOver(bool sharded)
    {
        using (var first = Open(sharded, new WriteOptions { Plans = Plans(1) }))
        {
            Put(first, 0, 1, 2);
        }

        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
        using (var first = Open(sharded, new WriteOptions { Resume = true, Plans = Plans(1) }))
        {
            Put(first, 0, 1, 2);
        }

        using (var second = Open(sharded, new WriteOptions { Plans = Plans(1) }))
        {
            Assert.DoesNotContain(true, Enumerable.Range(0, 6).Select(second.Has));
            Put(second, 0, 1, 2, 3, 4, 5);
            second.Commit();
        }

        Assert.Empty(Directory.GetFileSystemEntries(folder.Path, "*.partial"));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(-30)]
    [InlineData(30)]
    public void ACutOrDamagedJournalCountsForWhatIsWholeInIt(int cut)
    {
        using (var first = Open(false, new WriteOptions { Resume = true, Plans = Plans(1) }))
        {
            Put(first, 0, 1, 2);
        }

        var journal = Target(false) + ".journal.partial";
        var bytes = File.ReadAllBytes(journal);
        File.WriteAllBytes(journal, cut > 0 ? [.. bytes[..^cut], .. new byte[cut]] : bytes[..^-cut]);
        using (var second = Open(false, new WriteOptions { Resume = true, Plans = Plans(1) }))
        {
            Assert.True(second.Report!.Resumed <= (cut == 0 ? 3 : 2));
            Put(second, [.. Enumerable.Range(0, 6).Where(i => !second.Has(i))]);
            second.Commit();
        }

        var found = Digest(false);
        Remove(false);
        Assert.Equal(Reference(false), found);
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void WhatIsThereAsItWouldBeIsNotWrittenAgain(bool sharded)
    {
        Reference(sharded);
        foreach (var options in (WriteOptions[])[new() { Incremental = true, Plans = Plans(1) }, new() { Resume = true, Plans = Plans(1) }])
        {
            var before = Stamps(sharded);
            using var again = Open(sharded, options);
            Assert.True(again.Report!.Unchanged);
            Assert.DoesNotContain(false, Enumerable.Range(0, 6).Select(again.Has));
            again.Commit();
            Assert.Equal(before, Stamps(sharded));
        }

        // Inputs that changed after it was made, in a way that fingerprints don't show.
        using var anew = Open(sharded, new WriteOptions { Incremental = true, Plans = Plans(1), ChangedSince = _ => long.MaxValue });
        Assert.Equal((false, 0), (anew.Report!.Unchanged, anew.Report.Reused));
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void OnlyWhatIsComputedOtherwiseIsWritten(bool sharded)
    {
        Reference(sharded);
        var plans = Plans(1);
        plans[1] = 77;
        plans[4] = 78;
        using (var again = Open(sharded, new WriteOptions { Incremental = true, Plans = plans }))
        {
            Assert.Equal((4, false), (again.Report!.Reused, again.Report.Unchanged));
            Assert.Equal([true, false, true, true, false, true], Enumerable.Range(0, 6).Select(again.Has));
            again.Write(1, 0, new byte[1001]);
            again.Write(4, 0, new byte[1004]);
            again.Commit();
        }

        using var read = Checkpoint.Open(Target(sharded));
        for (var i = 0; i < 6; i++)
        {
            var bytes = new byte[1000 + i];
            read.Read(read.Find(Tensors[i].Name)!, 0, bytes);
            Assert.Equal(i is 1 or 4 ? new byte[1000 + i] : Bytes(i), bytes);
        }

        Assert.Empty(Verification.Content(read, 1, TestContext.Current.CancellationToken).Damages);
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void InputsThatChangedAreNoticedBeforeTheNameIsGiven(bool sharded)
    {
        using (var writer = Open(sharded, new WriteOptions { Plans = Plans(1), RequireInputs = () => throw new FaultException("changed") }))
        {
            Put(writer, 0, 1, 2, 3, 4, 5);
            Assert.Throws<FaultException>(writer.Commit);
        }

        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void ABitThatFlipsIsFound()
    {
        Reference(true);
        var shard = Path.Combine(Target(true), "model-00002-of-00003.safetensors");
        var bytes = File.ReadAllBytes(shard);
        bytes[^5] ^= 1;
        File.WriteAllBytes(shard, bytes);
        using var read = Checkpoint.Open(Target(true));
        var damage = Assert.Single(Verification.Content(read, 2, TestContext.Current.CancellationToken).Damages);
        Assert.Equal((shard, Tensors[3].Name), (damage.File, damage.Tensor));
    }

    [Theory]
    [InlineData(8)]
    [InlineData(64)]
    [InlineData(4096)]
    public void AHashDoesNotDependOnBlocks(int block)
    {
        var bytes = new byte[10_007];
        new Random(1).NextBytes(bytes);

        // Word by word as the definition says it.
        ulong expected = 0;
        for (var i = 0; i * 8 < bytes.Length; i++)
        {
            var word = new byte[8];
            bytes.AsSpan(i * 8, Math.Min(8, bytes.Length - (i * 8))).CopyTo(word);
            var plain = BitConverter.ToUInt64(word);
            var mixed = plain ^ unchecked((ulong)(i + 1) * 0x9E3779B97F4A7C15);
            expected = unchecked(expected + ((mixed & 0xFFFFFFFF) * (mixed >> 32)) + plain);
        }

        var digest = new TensorDigest(DType.U8, bytes.Length, measured: false);
        foreach (var at in Enumerable.Range(0, (bytes.Length + block - 1) / block).Reverse())
        {
            digest.Add(bytes.AsSpan(at * block, Math.Min(block, bytes.Length - (at * block))), at * block);
        }

        Assert.Equal(expected, digest.Finish()!.Value.Hash);
    }

    private static ulong[] Plans(ulong seed) => [.. Tensors.Select((_, i) => (seed * 1000) + (ulong)i)];

    private static byte[] Bytes(int i)
    {
        var bytes = new byte[1000 + i];
        new Random(i).NextBytes(bytes);
        return bytes;
    }

    private static void Put(ICheckpointWriter writer, params int[] tensors)
    {
        foreach (var i in tensors)
        {
            writer.Write(i, 0, Bytes(i));
        }
    }

    private string Target(bool sharded) => folder[sharded ? "out" : "out.safetensors"];

    private ICheckpointWriter Open(bool sharded, WriteOptions options)
    {
        var metadata = new Dictionary<string, string> { ["tva.inputs"] = "{}" };
        return sharded
            ? new FolderWriter(Target(true), Tensors, metadata, new FolderOutput(2100) { Card = true }, options)
            : new CheckpointWriter(Target(false), Tensors, metadata, options);
    }

    /// <summary>Writes it undisturbed.</summary>
    private string[] Reference(bool sharded)
    {
        using (var writer = Open(sharded, new WriteOptions { Plans = Plans(1) }))
        {
            Put(writer, 5, 4, 3, 2, 1, 0);
            writer.Commit();
        }

        return Digest(sharded);
    }

    private void Remove(bool sharded)
    {
        if (sharded)
        {
            Directory.Delete(Target(true), recursive: true);
        }
        else
        {
            File.Delete(Target(false));
        }
    }

    private string[] Files(bool sharded) => sharded ? [.. Directory.GetFiles(Target(true)).Order(StringComparer.Ordinal)] : [Target(false)];

    private string[] Digest(bool sharded) => [.. Files(sharded).Select(f => Path.GetFileName(f) + Convert.ToHexString(File.ReadAllBytes(f)))];

    private string[] Stamps(bool sharded) => [.. Files(sharded).Select(f => $"{f} {File.GetLastWriteTimeUtc(f).Ticks}")];
}
