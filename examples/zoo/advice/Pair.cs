namespace Zoo.Advice;

/// <summary>What <c>advise</c> says of adding or negating: a range of λ and the λ to take; no range where none serves.</summary>
internal readonly record struct Advised(double Low, double High, double Lambda)
{
    public bool Serves => !double.IsNaN(Lambda);

    public bool Allows(double lambda) => Serves && lambda >= Low && lambda <= High;
}

/// <summary>Two tasks in an order, θ₀ + τ₁ + λτ₂: what is told of them and what is measured.</summary>
/// <param name="First">Task 1, whose coefficient is 1.</param>
/// <param name="Second">Task 2.</param>
/// <param name="Cosine">Of the task vectors.</param>
/// <param name="Likeness">α̂ from outputs.</param>
/// <param name="ByCosine">Adding, then negating, by the cosine.</param>
/// <param name="ByOutputs">The same by outputs.</param>
internal sealed record Pair(
    string First, string Second, double Cosine, double Likeness, (Advised Add, Advised Forget) ByCosine, (Advised Add, Advised Forget) ByOutputs)
{
    /// <summary>By λ the accuracies on the first and the second task.</summary>
    public SortedDictionary<double, (double First, double Second)> Measured { get; } = [];
}
