using System.Buffers.Binary;
using System.Diagnostics;
using System.Text;
using Tva.Core.Checkpoints;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

public sealed class CheckpointWriterTests : IDisposable
{
    private static readonly Dictionary<string, string> NoMetadata = [];
    private static readonly (string, DType, Shape)[] Eight = [("a", DType.U8, new Shape(8))];
    private readonly TempFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void The_file_is_what_the_format_says_byte_for_byte()
    {
        string path = folder["out.safetensors"];
        using (var writer = new CheckpointWriter(
            path,
            [("z\"τ", DType.BF16, new Shape(1, 2)), ("empty", DType.F32, new Shape(0, 5)), ("a", DType.I64, new Shape())],
            new Dictionary<string, string> { ["tva.expression"] = "base + 'x'\n<&>", ["k"] = "" }))
        {
            // Out of order and in pieces.
            writer.Write(2, 4, [5, 6, 7, 8]);
            writer.Write(0, 0, [10, 11, 12, 13]);
            writer.Write(2, 0, [1, 2, 3, 4]);
            Assert.False(File.Exists(path));
            Assert.True(File.Exists(path + ".partial"));
            writer.Commit();
            Assert.Equal(new FileInfo(path).Length, writer.Bytes);
        }

        string header = """{"__metadata__":{"tva.expression":"base + 'x'\n<&>","k":""},"z\"τ":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]}"""
            + ""","empty":{"dtype":"F32","shape":[0,5],"data_offsets":[4,4]},"a":{"dtype":"I64","shape":[],"data_offsets":[4,12]}}""";
        int length = (Encoding.UTF8.GetByteCount(header) + 7) / 8 * 8;
        var expected = new byte[8 + length + 12];
        BinaryPrimitives.WriteInt64LittleEndian(expected, length);
        expected.AsSpan(8, length).Fill((byte)' ');
        Encoding.UTF8.GetBytes(header, expected.AsSpan(8));
        byte[] data = [10, 11, 12, 13, 1, 2, 3, 4, 5, 6, 7, 8];
        data.CopyTo(expected, 8 + length);
        Assert.Equal(expected, File.ReadAllBytes(path));
        Assert.False(File.Exists(path + ".partial"));
    }

    [Fact]
    public void Without_metadata_or_tensors_the_header_is_an_empty_object()
    {
        using (var writer = new CheckpointWriter(folder["x"], [], NoMetadata))
        {
            writer.Commit();
        }

        Assert.Equal("\b\0\0\0\0\0\0\0{}      "u8.ToArray(), File.ReadAllBytes(folder["x"]));
    }

    [Fact]
    public void Threads_may_write_at_once()
    {
        const int blocks = 64, size = 1 << 20; // more than one start of write-back
        (string, DType, Shape)[] tensors = [.. Enumerable.Range(0, 4).Select(i => ($"t{i}", DType.U8, new Shape(blocks / 4, size)))];
        using (var writer = new CheckpointWriter(folder["x.safetensors"], tensors, NoMetadata))
        {
            Parallel.For(0, blocks, i =>
            {
                var block = new byte[size];
                block.AsSpan().Fill((byte)(i + 1));
                writer.Write(i / 16, (long)(i % 16) * size, block);
            });
            writer.Commit();
        }

        var file = File.ReadAllBytes(folder["x.safetensors"]);
        for (int i = 0; i < blocks; i++)
        {
            Assert.False(file.AsSpan(file.Length - (blocks * size) + (i * size), size).ContainsAnyExcept((byte)(i + 1)));
        }
    }

    [Fact]
    public void A_missing_folder_is_created()
    {
        WriteEight(folder["new/deep/x.safetensors"]);
        Assert.True(File.Exists(folder["new/deep/x.safetensors"]));
    }

    [Fact]
    public void An_interrupted_writer_leaves_nothing()
    {
        using (var writer = new CheckpointWriter(folder["x.safetensors"], Eight, NoMetadata))
        {
            writer.Write(0, 0, new byte[4]);
        }

        Assert.Empty(Directory.EnumerateFileSystemEntries(folder.Path));
    }

    [Fact]
    public void An_interrupted_writer_leaves_the_earlier_file_alone()
    {
        string path = folder.Put("x.safetensors", [1, 2, 3]);
        using (var writer = new CheckpointWriter(path, Eight, NoMetadata))
        {
            writer.Write(0, 0, new byte[8]);
        }

        Assert.Equal([1, 2, 3], File.ReadAllBytes(path));
        Assert.Single(Directory.EnumerateFileSystemEntries(folder.Path));
    }

    [Fact]
    public void Committing_replaces_the_earlier_file_and_disposing_afterwards_keeps_the_new_one()
    {
        string path = folder.Put("x.safetensors", [1, 2, 3]);
        WriteEight(path);
        using var checkpoint = Checkpoint.Open(path);
        Assert.Equal(8, checkpoint.Find("a")!.Bytes);
    }

    [Fact]
    public void Holes_are_never_committed()
    {
        using var writer = new CheckpointWriter(folder["x.safetensors"], Eight, NoMetadata);
        writer.Write(0, 0, new byte[7]);
        Assert.Throws<InvalidOperationException>(writer.Commit);
        Assert.Throws<ArgumentOutOfRangeException>(() => writer.Write(0, 1, new byte[8]));
    }

    [Fact]
    public void A_partial_file_of_a_dead_run_is_replaced()
    {
        folder.Put("x.safetensors.partial", new byte[1000]);
        WriteEight(folder["x.safetensors"]);
        using var checkpoint = Checkpoint.Open(folder.Path);
        Assert.Single(checkpoint.Tensors);
        Assert.Single(Directory.EnumerateFileSystemEntries(folder.Path));
    }

    [Fact]
    public void Two_runs_do_not_write_one_file()
    {
        using var first = new CheckpointWriter(folder["x.safetensors"], Eight, NoMetadata);
        first.Write(0, 0, [1, 2, 3, 4, 5, 6, 7, 8]);
        Refuse(folder["x.safetensors"], Eight, "another run is writing it");
        first.Commit();
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8], File.ReadAllBytes(folder["x.safetensors"])[^8..]);
    }

    [Fact]
    public void Through_a_link_the_file_that_it_names_is_replaced()
    {
        string real = folder.Put("real/x.safetensors", [1]);
        File.CreateSymbolicLink(folder["link.safetensors"], "real/x.safetensors");
        WriteEight(folder["link.safetensors"]);
        Assert.Equal("real/x.safetensors", new FileInfo(folder["link.safetensors"]).LinkTarget);
        Assert.True(new FileInfo(real).Length > 8);
    }

    [Fact]
    public void A_folder_is_no_target()
    {
        Refuse(folder.Path, Eight, "is a folder; name a file in it");
        Refuse(folder["new/"], Eight, "is a folder");
    }

    [Fact]
    public void A_file_in_the_place_of_the_folder_is_a_fault()
    {
        folder.Put("f", [1]);
        Refuse(folder["f/x.safetensors"], Eight, $"{folder["f"]} is a file and not a folder; save elsewhere");
        Refuse(folder["f/sub/x.safetensors"], Eight, $"{folder["f"]} is a file and not a folder; save elsewhere");
    }

    [Fact]
    public void A_device_is_never_replaced()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "device files are known on Linux only");
        Refuse("/dev/null", Eight, "is not a plain file");
        Assert.True(File.Exists("/dev/null"));
    }

    [Fact]
    public void A_folder_without_permission_is_a_fault()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs a place where nobody may write");

        // Not even root creates files in /proc; elsewhere this is EACCES.
        Refuse("/proc/tva/x.safetensors", Eight, "can't create /proc/tva/x.safetensors.partial");
    }

    /// <summary>RandomAccess.FlushToDisk passes over all that fsync reports.</summary>
    [Fact]
    public void A_flush_that_fails_is_told()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "fsync is called so on Linux");
        using var none = new Microsoft.Win32.SafeHandles.SafeFileHandle(1 << 20, ownsHandle: false);
        Assert.Equal(9, Assert.Throws<IOException>(() => Native.Flush(none)).HResult); // EBADF
        using var sink = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.Write);
        Native.Flush(sink); // no disk behind it: EINVAL
    }

    [Fact]
    public void What_the_disk_cannot_hold_is_refused_before_anything_is_written()
    {
        Refuse(folder["x.safetensors"], [("a", DType.F64, new Shape(1L << 50))], "needs 8 PiB and its disk has", "save to another disk");
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder.Path));
    }

    [Fact]
    public void A_disk_that_fills_up_meanwhile_is_a_fault_and_leaves_nothing()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess, "needs root to mount a small disk");
        string disk = folder["disk"];
        Directory.CreateDirectory(disk);
        Assert.SkipUnless(Run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk), "this machine doesn't let tests mount a small disk");
        try
        {
            string path = Path.Combine(disk, "x.safetensors");
            using (var writer = new CheckpointWriter(path, [("a.w", DType.U8, new Shape(600_000))], NoMetadata))
            {
                writer.Write(0, 0, new byte[100_000]);
                File.WriteAllBytes(Path.Combine(disk, "other"), new byte[700_000]);
                var fault = Assert.Throws<FaultException>(() => writer.Write(0, 100_000, new byte[500_000]));
                Assert.StartsWith(path + ": ", fault.Message);
                Assert.Contains($"can't write a.w at byte {writer.Bytes - 500_000} of {writer.Bytes}", fault.Message);
                Assert.Contains("no space left on the disk; free some space", fault.Message);
            }

            Assert.Equal([Path.Combine(disk, "other")], Directory.EnumerateFileSystemEntries(disk));
            Refuse(path, [("a.w", DType.U8, new Shape(600_000))], "needs 586.", "KiB free");
            Assert.Equal([Path.Combine(disk, "other")], Directory.EnumerateFileSystemEntries(disk));
        }
        finally
        {
            Run("umount", disk);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_replaced_file_has_the_rights_of_the_one_before(bool linked)
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("rights are otherwise there");
            return;
        }

        string path = folder["out.safetensors"], real = linked ? folder["real"] : path;
        const UnixFileMode shared = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite;
        const UnixFileMode own = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        foreach (var mode in new[] { shared, own })
        {
            File.WriteAllText(real, "before");
            File.SetUnixFileMode(real, mode);
            if (linked)
            {
                File.Delete(path);
                File.CreateSymbolicLink(path, real);
            }

            using var writer = new CheckpointWriter(path, Eight, NoMetadata);
            Assert.Equal(mode, File.GetUnixFileMode(real + ".partial"));
            writer.Write(0, 0, [1, 2, 3, 4, 5, 6, 7, 8]);
            writer.Commit();
            Assert.Equal(mode, File.GetUnixFileMode(real));
            Assert.Equal(writer.Bytes, new FileInfo(real).Length);
        }
    }

    private static bool Run(string command, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(command, arguments) { RedirectStandardError = true })!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0;
    }

    private static void WriteEight(string path)
    {
        using var writer = new CheckpointWriter(path, Eight, NoMetadata);
        writer.Write(0, 0, new byte[8]);
        writer.Commit();
    }

    private static void Refuse(string path, (string, DType, Shape)[] tensors, params string[] expected)
    {
        var fault = Assert.Throws<FaultException>(() => new CheckpointWriter(path, tensors, NoMetadata).Dispose());
        Assert.StartsWith(path + ": ", fault.Message);
        Assert.All(expected, part => Assert.Contains(part, fault.Message));
    }
}
