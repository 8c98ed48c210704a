using Microsoft.Win32.SafeHandles;
using Tva.Core.Tensors;

namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: a safetensors file that an earlier run has written. Goes out: which of the tensors that are wanted it has, computed as they
/// would be now, and their bytes.
/// </summary>
internal sealed class EarlierFile : IDisposable
{
    private readonly Dictionary<string, (TensorInfo Tensor, ulong Plan, TensorSummary Summary)> tensors = new(StringComparer.Ordinal);
    private readonly byte[] header;
    private readonly SafeFileHandle file;

    private EarlierFile(SafeFileHandle file, byte[] header, long length, SafetensorsFile parsed)
    {
        (this.file, this.header, Length) = (file, header, length);
        Metadata = parsed.Metadata;
        if (TensorRecords.Read(parsed.Metadata, parsed.Tensors.Count) is { } records)
        {
            for (var i = 0; i < parsed.Tensors.Count; i++)
            {
                tensors[parsed.Tensors[i].Name] = (parsed.Tensors[i], records.Plans[i], records.Summaries[i]);
            }
        }
    }

    public IReadOnlyDictionary<string, string> Metadata { get; }

    public long Length { get; }

    /// <summary>Opens it, or null where there is none that can be used.</summary>
    /// <param name="path">The file.</param>
    /// <param name="changedSince">When the inputs have changed, by the inputs that it names; one that is not younger is not used.</param>
    public static EarlierFile? Open(string path, Func<string, long> changedSince)
    {
        SafeFileHandle? file = null;
        try
        {
            if (!File.Exists(path))
            {
                return null;
            }

            using var parsed = new SafetensorsFile(path, 0);
            // Of the last byte written: what else is done to it later, such as another name, must not make it look younger.
            var made = (File.GetLastWriteTimeUtc(path) - DateTime.UnixEpoch).Ticks * 100;
            if (!parsed.Metadata.TryGetValue("tva.inputs", out var inputs) || changedSince(inputs) >= made)
            {
                return null;
            }

            file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            var header = new byte[parsed.HeaderBytes];
            if (RandomAccess.Read(file, header, 0) < header.Length)
            {
                file.Dispose();
                return null;
            }

            return new EarlierFile(file, header, RandomAccess.GetLength(file), parsed);
        }
        catch (Exception e) when (e is FaultException || FileFaults.Handles(e))
        {
            // Damaged, or not ours to read: then it is written anew.
            file?.Dispose();
            return null;
        }
    }

    /// <summary>Whether it is what would be written, byte for byte as far as plans tell.</summary>
    public bool Is(TensorFile wanted) => Length == wanted.Bytes && header.Length == wanted.Blank.Length && TensorRecords.AreAlike(header, wanted.Blank.ToArray());

    /// <summary>What is told of a tensor that it has as wanted.</summary>
    public TensorSummary? Summary(string name, DType dtype, Shape shape, ulong plan) => Find(name, dtype, shape, plan)?.Summary;

    /// <summary>Copies such a tensor; false where it has none.</summary>
    public bool CopyTo(TensorFile wanted, int tensor, ulong plan)
    {
        var (name, dtype, shape) = wanted.Tensors[tensor];
        if (Find(name, dtype, shape, plan) is not var (info, summary))
        {
            return false;
        }

        wanted.Copy(tensor, summary, file, info.Offset);
        return true;
    }

    public void Dispose() => file.Dispose();

    private (TensorInfo Tensor, TensorSummary Summary)? Find(string name, DType dtype, Shape shape, ulong plan) =>
        tensors.TryGetValue(name, out var found) && found.Plan == plan && found.Tensor.DType == dtype && found.Tensor.Shape.Equals(shape)
            ? (found.Tensor, found.Summary)
            : null;
}
