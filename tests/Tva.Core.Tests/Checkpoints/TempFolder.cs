using System.Buffers.Binary;
using System.Text;

namespace Tva.Core.Tests;

/// <summary>A folder that lives as long as a test, and safetensors files put together by hand in it.</summary>
public sealed class TempFolder : IDisposable
{
    public TempFolder() => Directory.CreateDirectory(Path);

    public string Path { get; } = System.IO.Path.Combine(System.IO.Path.GetTempPath(), "tva-test-" + Guid.NewGuid().ToString("N"));

    public string this[string name] => System.IO.Path.Combine(Path, name);

    /// <summary>Length prefix, header text, data.</summary>
    public static byte[] Safetensors(string header, params byte[] data)
    {
        var text = Encoding.UTF8.GetBytes(header);
        var file = new byte[8 + text.Length + data.Length];
        BinaryPrimitives.WriteInt64LittleEndian(file, text.Length);
        text.CopyTo(file, 8);
        data.CopyTo(file, 8 + text.Length);
        return file;
    }

    public string Put(string name, byte[] content)
    {
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(this[name])!);
        File.WriteAllBytes(this[name], content);
        return this[name];
    }

    public string Put(string name, string header, params byte[] data) => Put(name, Safetensors(header, data));

    /// <summary>A file of one F32 tensor [1] per name.</summary>
    public string PutTensors(string name, params string[] tensors) => Put(
        name,
        "{" + string.Join(",", tensors.Select((t, i) => $"\"{t}\":{{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[{4 * i},{4 * i + 4}]}}")) + "}",
        new byte[4 * tensors.Length]);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
