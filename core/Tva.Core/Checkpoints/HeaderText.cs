using System.Buffers;
using System.Buffers.Binary;
using System.Text.Encodings.Web;
using System.Text.Json;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>Comes in: the tensors and metadata of a file to be. Goes out: its first bytes (length prefix and header) and where each tensor begins.</summary>
internal static class HeaderText
{
    /// <summary>Longer headers are refused by the format's readers.</summary>
    public const int MaxBytes = 100_000_000;

    public static (byte[] Prefix, long[] Offsets, long Bytes) Render(
        IReadOnlyList<(string Name, DType DType, Shape Shape)> tensors, IReadOnlyDictionary<string, string> metadata)
    {
        var buffer = new ArrayBufferWriter<byte>(4096);
        BinaryPrimitives.WriteInt64LittleEndian(buffer.GetSpan(8), 0);
        buffer.Advance(8);
        var offsets = new long[tensors.Count];
        long end = 0;
        var names = new HashSet<string>(tensors.Count) { "__metadata__" };

        // Relaxed: headers are not HTML, and names such as `τ` or the expression's `'` stay readable.
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            if (metadata.Count > 0)
            {
                json.WriteStartObject("__metadata__");
                foreach (var (key, value) in metadata)
                {
                    json.WriteString(key, value);
                }

                json.WriteEndObject();
            }

            for (int i = 0; i < tensors.Count; i++)
            {
                var (name, dtype, shape) = tensors[i];
                if (!names.Add(name))
                {
                    throw new ArgumentException($"two tensors named '{name}'", nameof(tensors));
                }

                json.WriteStartObject(name);
                json.WriteString("dtype", dtype.Name());
                json.WriteStartArray("shape");
                foreach (long d in shape.Dims)
                {
                    json.WriteNumberValue(d);
                }

                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offsets[i] = end);
                json.WriteNumberValue(end = checked(end + (shape.Elements * dtype.Size())));
                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        // The format wants the data 8-byte aligned; spaces are its padding.
        int padding = -buffer.WrittenCount & 7;
        buffer.GetSpan(padding + 1)[..padding].Fill((byte)' ');
        buffer.Advance(padding);
        var prefix = buffer.WrittenSpan.ToArray();
        BinaryPrimitives.WriteInt64LittleEndian(prefix, prefix.Length - 8);
        for (int i = 0; i < offsets.Length; i++)
        {
            offsets[i] += prefix.Length;
        }

        return (prefix, offsets, prefix.Length + end);
    }
}
