using Tva.Core.Checkpoints;
using Tva.Core.Tensors;

namespace Tva.Core.Bases;

/// <summary>
/// Comes in: a folder as the published code writes it (arXiv 2502.01015): <c>method_info.json</c>, <c>basis_vectors.pt</c> (a list of M
/// dictionaries, under that name) and, by method, <c>AWB.pt</c>, <c>pca_components.pt</c>, <c>random_basis.pt</c> or <c>random_selection.json</c>.
/// Goes out: the basis. The files say nothing of the base or of errors.
/// </summary>
internal static class PublishedBasis
{
    public const string FileName = "method_info.json";

    private const string Vectors = "basis_vectors.pt";
    private const long MaxBytes = 16L << 20;

    public static StoredBasis Open(string path)
    {
        using var json = JsonFile.Open(Path.Combine(path, FileName), MaxBytes);
        try
        {
            var tasks = json.Names(json.Root.GetProperty("datasets"), "datasets");
            var made = json.Root.GetProperty("method").GetString();
            return made switch
            {
                "AutoencoderBasisMethod" => Autoencoder(
                    path, tasks, json.Root.TryGetProperty("encoder", out var e) && e.GetString() == "linear" ? BasisMethod.AeLinear : BasisMethod.Ae),
                "PCABasisMethod" => Pca(path, tasks),
                "RandomBasisMethod" => Random(path, tasks),
                "RandomSampleMethod" => Sample(path),
                _ => throw new FaultException($"{json.Path}: is of method {Quoted.Name(made ?? "null")}; known are AutoencoderBasisMethod, "
                    + "PCABasisMethod, RandomBasisMethod and RandomSampleMethod"),
            };
        }
        catch (Exception e) when (e is KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new FaultException($"{json.Path}: is not what the published code writes: {e.Message}", e);
        }
    }

    /// <summary>V̂ = S·W with W of AWB.pt.</summary>
    private static StoredBasis Autoencoder(string path, IReadOnlyList<string> tasks, BasisMethod method)
    {
        using var file = OpenFile(path, "AWB.pt");
        return Make(path, method, tasks, atoms => Coefficients(file, "W", atoms, tasks.Count));
    }

    /// <summary>V̂ = S·C with C the projection coefficients QᵀV.</summary>
    private static StoredBasis Random(string path, IReadOnlyList<string> tasks)
    {
        using var file = OpenFile(path, "random_basis.pt");
        return Make(path, BasisMethod.Random, tasks, atoms => Coefficients(file, "projection_coefficients", atoms, tasks.Count));
    }

    /// <summary>Only the tasks that were drawn, each of which is an atom.</summary>
    private static StoredBasis Sample(string path)
    {
        using var json = JsonFile.Open(Require(path, "random_selection.json"), MaxBytes);
        var tasks = json.Names(json.Root.GetProperty("selected_datasets"), "selected_datasets");
        return Make(path, BasisMethod.Sample, tasks, atoms => atoms == tasks.Count
            ? Identity(atoms)
            : throw new FaultException($"{json.Path}: has selected {tasks.Count} datasets, and {Vectors} holds {atoms} vectors"));
    }

    /// <summary>V̂ = μ + S·C; the mean lies flat, tensor after tensor in the order of keys_order.</summary>
    private static StoredBasis Pca(string path, IReadOnlyList<string> tasks)
    {
        using var file = OpenFile(path, "pca_components.pt");
        if (Find(file, "mean_vector") is not PickleTensor || Find(file, "keys_order") is not PickleList keys)
        {
            throw new FaultException($"{file.Path}: lacks the tensor mean_vector or the list keys_order");
        }

        var basis = Make(path, BasisMethod.Pca, tasks, atoms => WithOnes(Coefficients(file, "coefficients", atoms, tasks.Count)));
        try
        {
            var order = keys.Items.Select(k => k is PickleText t ? t.Value : throw new FaultException($"{file.Path}: keys_order holds {k}")).ToArray();
            return basis.WithMean(new FlatCheckpoint(Path.Combine(path, "mean"), file.Path, "mean_vector", order, basis.Atoms[0]));
        }
        catch
        {
            foreach (var atom in basis.Atoms)
            {
                atom.Dispose();
            }

            throw;
        }
    }

    private static StoredBasis Make(string path, BasisMethod method, IReadOnlyList<string> tasks, Func<int, double[,]> coefficients)
    {
        using var file = OpenFile(path, Vectors);
        if ((Find(file, "basis_vectors") ?? file.Root) is not PickleList { Items: [_, ..] } list)
        {
            throw new FaultException($"{file.Path}: should hold a list of dictionaries of tensors, by itself or as basis_vectors; it holds {file.Root}");
        }

        var decoder = coefficients(list.Items.Count);
        var atoms = new List<Checkpoint>();
        try
        {
            foreach (var item in list.Items)
            {
                atoms.Add(file.OpenCheckpoint(item, Path.Combine(path, $"atom{atoms.Count + 1}")));
            }
        }
        catch
        {
            atoms.ForEach(a => a.Dispose());
            throw;
        }

        return new StoredBasis { Path = path, Method = method, Tasks = tasks, Atoms = atoms, Groups = [new StoredGroup("", null, null, decoder)] };
    }

    private static double[,] Coefficients(PyTorchFile file, string key, int atoms, int tasks)
    {
        if (Find(file, key) is not PickleTensor tensor)
        {
            throw new FaultException($"{file.Path}: lacks the tensor {key}");
        }

        if (!tensor.Shape.Equals(new Shape(atoms, tasks)))
        {
            throw new FaultException($"{file.Path}: {key} is {tensor.Shape}, and should be [{atoms}, {tasks}]: one row for each vector of {Vectors}, "
                + "one column for each dataset");
        }

        var values = file.ReadDoubles(tensor);
        var result = new double[atoms, tasks];
        for (var i = 0; i < values.Length; i++)
        {
            if (!double.IsFinite(values[i]))
            {
                throw new FaultException($"{file.Path}: {key} is not finite at [{i / tasks}, {i % tasks}]");
            }

            result[i / tasks, i % tasks] = values[i];
        }

        return result;
    }

    private static PickleValue? Find(PyTorchFile file, string key) => (file.Root as PickleDictionary)?.Find(key);

    private static double[,] Identity(int size)
    {
        var result = new double[size, size];
        for (var i = 0; i < size; i++)
        {
            result[i, i] = 1;
        }

        return result;
    }

    private static double[,] WithOnes(double[,] rows)
    {
        var result = new double[rows.GetLength(0) + 1, rows.GetLength(1)];
        Array.Copy(rows, result, rows.Length);
        for (var t = 0; t < rows.GetLength(1); t++)
        {
            result[rows.GetLength(0), t] = 1;
        }

        return result;
    }

    private static PyTorchFile OpenFile(string path, string name) => new(Require(path, name));

    private static string Require(string path, string name)
    {
        var full = Path.Combine(path, name);
        return File.Exists(full) ? full : throw new FaultException($"{path}: lacks {name}, which the published code writes beside {FileName}; copy the whole folder");
    }
}
