using System.Diagnostics;
using System.Text;
using Tva.Core.Checkpoints;
using Tva.Core.Tests;

namespace Tva.Bench;

/// <summary>What reading the same elements takes from files of each format, block by block on all cores, as the engine reads.</summary>
internal static class Formats
{
    private const int Rows = 1024;

    // As many elements as the engine asks for at once.
    private const int Block = 65536;

    /// <param name="folder">Where the files are written, to be deleted again.</param>
    /// <param name="megabytes">Bytes of elements in float32.</param>
    /// <param name="repeat">Rounds; formats take turns in each, and each has its fastest told.</param>
    /// <param name="threads">Threads.</param>
    public static IEnumerable<string> Run(string folder, int megabytes, int repeat, int threads)
    {
        const int tensors = 16;
        int columns = (int)((long)megabytes * 1_000_000 / 4 / Rows / tensors / 256 * 256);
        var elements = new byte[(long)Rows * columns * 4];
        new Random(1).NextBytes(elements);
        Directory.CreateDirectory(folder);
        var files = new (string Name, Func<byte[]> Content)[]
        {
            ("f32.safetensors", () => Safetensors(elements, columns, tensors)),
            ("f32.pt", () => Zip(elements, columns, tensors)),
            ("f32_legacy.pt", () => Legacy(elements, columns, tensors)),
            ("f32.gguf", () => Gguf(0, elements, columns, tensors)),
            ("q8_0.gguf", () => Gguf(8, elements[..(int)((long)Rows * columns / 32 * 34)], columns, tensors)),
            ("q4_0.gguf", () => Gguf(2, elements[..(int)((long)Rows * columns / 32 * 18)], columns, tensors)),
            ("q4_k.gguf", () => Gguf(12, elements[..(int)((long)Rows * columns / 256 * 144)], columns, tensors)),
            ("q6_k.gguf", () => Gguf(14, elements[..(int)((long)Rows * columns / 256 * 210)], columns, tensors)),
        };
        foreach (var (name, content) in files)
        {
            File.WriteAllBytes(Path.Combine(folder, name), content());
        }

        var best = files.ToDictionary(f => f.Name, _ => (Open: double.MaxValue, Read: double.MaxValue));
        for (int round = 0; round <= repeat; round++)
        {
            foreach (var (name, _) in files)
            {
                var watch = Stopwatch.StartNew();
                using var checkpoint = Checkpoint.Open(Path.Combine(folder, name));
                double open = watch.Elapsed.TotalSeconds;
                watch.Restart();
                Read(checkpoint, threads);
                if (round > 0)
                {
                    best[name] = (Math.Min(best[name].Open, open), Math.Min(best[name].Read, watch.Elapsed.TotalSeconds));
                }
            }
        }

        double plain = best["f32.safetensors"].Read, bytes = (double)elements.Length * tensors;
        foreach (var (name, _) in files)
        {
            yield return FormattableString.Invariant($"{{\"job\":\"formats\",\"file\":\"{name}\",\"open_ms\":{best[name].Open * 1e3:F2},\"read_ms\":{best[name].Read * 1e3:F1},")
                + FormattableString.Invariant($"\"GB_per_s_of_elements\":{bytes / best[name].Read / 1e9:F2},\"x_safetensors\":{best[name].Read / plain:F2}}}");
            File.Delete(Path.Combine(folder, name));
        }
    }

    private static void Read(Checkpoint checkpoint, int threads)
    {
        var blocks = checkpoint.Tensors.SelectMany(t => Enumerable.Range(0, (int)((t.Shape.Elements + Block - 1) / Block)).Select(i => (Tensor: t, At: (long)i * Block * 4))).ToArray();
        int next = -1;
        var workers = Enumerable.Range(0, threads).Select(_ => new Thread(() =>
        {
            var buffer = new byte[Block * 4];
            for (int i; (i = Interlocked.Increment(ref next)) < blocks.Length;)
            {
                var (tensor, at) = blocks[i];
                checkpoint.Read(tensor, at, buffer.AsSpan(0, (int)Math.Min(buffer.Length, tensor.Bytes - at)));
            }
        })).ToArray();
        Array.ForEach(workers, w => w.Start());
        Array.ForEach(workers, w => w.Join());
    }

    private static byte[] Safetensors(byte[] elements, int columns, int tensors)
    {
        var header = "{" + string.Join(",", Enumerable.Range(0, tensors).Select(i =>
            $"\"t{i}\":{{\"dtype\":\"F32\",\"shape\":[{Rows},{columns}],\"data_offsets\":[{(long)i * elements.Length},{(i + 1L) * elements.Length}]}}")) + "}";
        header = header.PadRight((header.Length + 7) / 8 * 8);
        return Joined([.. BitConverter.GetBytes((long)header.Length), .. Encoding.UTF8.GetBytes(header)], elements, tensors);
    }

    private static byte[] Zip(byte[] elements, int columns, int tensors) =>
        PyTorchArchive.Of(Pickle(columns, tensors, legacy: false), [.. Enumerable.Repeat(elements, tensors)]);

    private static byte[] Legacy(byte[] elements, int columns, int tensors)
    {
        var keys = new PickleBytes().Op("](");
        for (int i = 0; i < tensors; i++)
        {
            keys.Text($"{i}");
        }

        byte[] head =
        [
            .. new PickleBytes().Raw(0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19).Stop(), .. new PickleBytes().Int(1001).Stop(),
            .. new PickleBytes().Op('}').Stop(), .. Pickle(columns, tensors, legacy: true), .. keys.Op('e').Stop(),
        ];
        return Joined(head, [.. BitConverter.GetBytes(elements.LongLength / 4), .. elements], tensors);
    }

    private static byte[] Pickle(int columns, int tensors, bool legacy)
    {
        var pickle = new PickleBytes().Op("}(");
        for (int i = 0; i < tensors; i++)
        {
            pickle.Text($"t{i}").Global("torch._utils", "_rebuild_tensor_v2").Op("((").Text("storage").Global("torch", "FloatStorage").Text($"{i}").Text("cpu")
                .Int((long)Rows * columns).Op(legacy ? "NtQ" : "tQ").Int(0).Tuple(Rows, columns).Tuple(columns, 1).Raw(0x89).Op("NtR");
        }

        return pickle.Op('u').Stop();
    }

    private static byte[] Gguf(uint type, byte[] content, int columns, int tensors)
    {
        var file = new GgufBytes();
        for (int i = 0; i < tensors; i++)
        {
            file.Tensor($"t{i}", type, [Rows, columns], content);
        }

        return file.Bytes();
    }

    private static byte[] Joined(byte[] head, byte[] part, int times)
    {
        var file = new byte[head.Length + ((long)part.Length * times)];
        head.CopyTo(file, 0);
        for (int i = 0; i < times; i++)
        {
            part.CopyTo(file, head.Length + ((long)part.Length * i));
        }

        return file;
    }
}
