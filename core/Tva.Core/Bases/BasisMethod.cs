namespace Tva.Core.Bases;

/// <summary>How T tasks become M atoms (arXiv 2502.01015, and its first version for <see cref="Cluster"/>).</summary>
public enum BasisMethod
{
    /// <summary>
    /// Atoms are convex combinations of tasks, B = softmax(A/temperature) over the tasks; A and W minimise tr((BW−I)ᵀG(BW−I))/T²
    /// by Adam.
    /// </summary>
    Ae,

    /// <summary>The same with B = A/temperature; its optimum is the spectral one.</summary>
    AeLinear,

    /// <summary>B the top M eigenvectors of G, W = Bᵀ: no linear method loses less.</summary>
    Svd,

    /// <summary>The tasks' mean and the top M principal directions around it, M + 1 vectors in all.</summary>
    Pca,

    /// <summary>M random directions within the span of the tasks.</summary>
    Random,

    /// <summary>M of the tasks themselves, drawn without replacement.</summary>
    Sample,

    /// <summary>One atom per cluster of a spectral clustering by cosine.</summary>
    Cluster,
}

/// <summary>The methods' names in scripts and files, and the decoders that each may have.</summary>
public static class BasisMethods
{
    private static readonly string[] names = ["ae", "ae-linear", "svd", "pca", "random", "sample", "cluster"];

    /// <summary>The names, in the order of <see cref="BasisMethod"/>.</summary>
    public static IReadOnlyList<string> Names => names;

    /// <summary>For instance <c>ae-linear</c>.</summary>
    public static string Name(this BasisMethod method) => names[(int)method];

    /// <summary>The method of a name as in <see cref="Names"/>.</summary>
    public static bool TryParse(string name, out BasisMethod method)
    {
        var index = Array.IndexOf(names, name);
        method = (BasisMethod)Math.Max(index, 0);
        return index >= 0;
    }

    /// <summary>
    /// What <see cref="BasisOptions.Decoder"/> may be: <c>closed</c> (least squares on G) for every method, and what the method
    /// itself brings: <c>trained</c>, <c>selection</c> or <c>membership</c>.
    /// </summary>
    public static IReadOnlyList<string> Decoders(this BasisMethod method) => method switch
    {
        BasisMethod.Ae or BasisMethod.AeLinear => ["closed", "trained"],
        BasisMethod.Sample => ["closed", "selection"],
        BasisMethod.Cluster => ["closed", "membership"],
        _ => ["closed"],
    };
}
