using System.Security.Cryptography;
using System.Text;
using Tva.Core.Devices.Rendering;

namespace Tva.Core.Devices.OpenCl;

/// <summary>
/// Comes in: sources. Goes out: built programs, each built once: they are kept in memory, and their binaries in the user's cache folder under
/// the hash of source, options, device and driver. A file there that is damaged, or that the driver does not take, is built anew and replaced;
/// where the folder can't be written, nothing is kept.
/// </summary>
internal sealed unsafe class ProgramCache(OpenClDevice device, string? folder) : IDisposable
{
    // Before a binary stands the SHA-256 of it.
    private const int HashBytes = 32;

    private readonly Dictionary<string, nint> built = new(StringComparer.Ordinal);

    /// <summary>How many programs were compiled from source; for tests.</summary>
    public int Compiled { get; private set; }

    private string Options { get; } = (device.Fp64 ? "-DFP64 " : "")
        + ((Cl.Number(device.Handle, Cl.DeviceSingleFpConfig) & Cl.FpCorrectlyRoundedDivideSqrt) != 0 ? "-cl-fp32-correctly-rounded-divide-sqrt " : "")
        + "-cl-std=CL1.2";

    /// <summary>The program of a source.</summary>
    /// <exception cref="DeviceFaultException">It does not compile.</exception>
    public nint Get(string source)
    {
        // One at a time: compilers are not known for being safe from several threads.
        lock (built)
        {
            if (!built.TryGetValue(source, out var program))
            {
                program = FromFile(source) is var kept and not 0 ? kept : Compile(source);
                built.Add(source, program);
            }

            return program;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var program in built.Values)
        {
            _ = Cl.clReleaseProgram(program);
        }

        built.Clear();
    }

    private nint Compile(string source)
    {
        Compiled++;
        var text = Encoding.UTF8.GetBytes(OpenClPrelude.Text + source);
        int error;
        nint program;
        fixed (byte* start = text)
        {
            var pointer = start;
            var length = (nuint)text.Length;
            program = Cl.clCreateProgramWithSource(device.Context, 1, &pointer, &length, &error);
        }

        device.Require(error, "take a kernel's source");
        error = Build(program);
        if (error != Cl.Success)
        {
            var log = Log(program);
            _ = Cl.clReleaseProgram(program);
            throw new DeviceFaultException(
                $"{device.Info.Name} ({device.Info.Id}): its compiler refuses a kernel ({Cl.ErrorName(error)}); update its driver ({device.Info.Driver}), or compute "
                + $"with --device cpu. The compiler says:\n{log}");
        }

        Keep(source, program);
        return program;
    }

    private int Build(nint program)
    {
        var handle = device.Handle;
        fixed (byte* options = Encoding.UTF8.GetBytes(Options + "\0"))
        {
            return Cl.clBuildProgram(program, 1, &handle, options, 0, 0);
        }
    }

    private string Log(nint program)
    {
        nuint size = 0;
        _ = Cl.clGetProgramBuildInfo(program, device.Handle, Cl.ProgramBuildLog, 0, null, &size);
        var bytes = new byte[size];
        fixed (byte* to = bytes)
        {
            _ = Cl.clGetProgramBuildInfo(program, device.Handle, Cl.ProgramBuildLog, size, to, null);
        }

        var log = Encoding.UTF8.GetString(bytes).TrimEnd('\0', '\n', ' ');
        return log.Length > 2000 ? log[..2000] + "..." : log.Length == 0 ? "(nothing)" : log;
    }

    private string? PathOf(string source) => folder is null ? null : Path.Combine(folder, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(
        string.Join('\0', OpenClPrelude.Text, source, Options, device.Info.Name, device.Info.Driver, Cl.Text(device.Handle, Cl.DeviceVersion)))))[..40] + ".bin");

    private nint FromFile(string source)
    {
        byte[] bytes;
        try
        {
            if (PathOf(source) is not { } path || !File.Exists(path))
            {
                return 0;
            }

            bytes = File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 0;
        }

        // A driver may crash on a damaged binary instead of refusing it.
        if (bytes.Length <= HashBytes || !SHA256.HashData(bytes.AsSpan(HashBytes)).AsSpan().SequenceEqual(bytes.AsSpan(0, HashBytes)))
        {
            return 0;
        }

        int error, status;
        nint program;
        var handle = device.Handle;
        fixed (byte* start = bytes)
        {
            var pointer = start + HashBytes;
            var length = (nuint)(bytes.Length - HashBytes);
            program = Cl.clCreateProgramWithBinary(device.Context, 1, &handle, &length, &pointer, &status, &error);
        }

        if (error != Cl.Success)
        {
            return 0;
        }

        if (Build(program) == Cl.Success)
        {
            return program;
        }

        _ = Cl.clReleaseProgram(program);
        return 0;
    }

    private void Keep(string source, nint program)
    {
        if (PathOf(source) is not { } path)
        {
            return;
        }

        try
        {
            nuint size = 0;
            if (Cl.clGetProgramInfo(program, Cl.ProgramBinarySizes, (nuint)sizeof(nuint), &size, null) != Cl.Success || size == 0)
            {
                return;
            }

            var binary = new byte[size];
            fixed (byte* to = binary)
            {
                var pointer = to;
                if (Cl.clGetProgramInfo(program, Cl.ProgramBinaries, (nuint)sizeof(byte*), &pointer, null) != Cl.Success)
                {
                    return;
                }
            }

            // Under a name of its own first: another process may be reading.
            Directory.CreateDirectory(folder!);
            var temporary = $"{path}.{Environment.ProcessId}.partial";
            File.WriteAllBytes(temporary, [.. SHA256.HashData(binary), .. binary]);
            File.Move(temporary, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Next time it is compiled again.
        }
    }
}
