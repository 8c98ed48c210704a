namespace Theory.Lab;

/// <summary>
/// Where arXiv 2504.10957 promises success for θ₀ + τ₁ + λ τ₂ and for θ₀ + Σ λᵢ τᵢ, its orders of magnitude (Θ) taken as one and its
/// β and c as small as <see cref="Slack"/>: correlations and coefficients come in, yes or no goes out.
/// </summary>
public static class Theorem
{
    /// <summary>β of the first two theorems, c of the third.</summary>
    public const double Slack = 0.05;

    /// <summary>Both tasks are learned: α ≥ 0 and λ ≥ 1 − α + β.</summary>
    public static bool Adds(double alpha, double lambda) => alpha >= 0 && lambda >= 1 - alpha + Slack;

    /// <summary>Task 2 is forgotten and task 1 kept: α = 0 and λ ≤ 0, or α &lt; 0 and −1/α² ≤ λ &lt; 0.</summary>
    public static bool Forgets(double alpha, double lambda) =>
        alpha == 0 ? lambda <= 0 : alpha < 0 && lambda < 0 && lambda >= -1 / (alpha * alpha);

    /// <summary>Condition (B), for a target Σ γᵢ μᵢ + κ μ_⊥: some γᵢ ≠ 0, Σ λᵢ γᵢ ≥ 1 + c and Σ λᵢ γᵢ² ≥ 1 + c.</summary>
    public static bool Reaches(ReadOnlySpan<double> gamma, ReadOnlySpan<double> lambda)
    {
        double first = 0, second = 0;
        for (var i = 0; i < gamma.Length; i++)
        {
            first += lambda[i] * gamma[i];
            second += lambda[i] * gamma[i] * gamma[i];
        }

        // All γ zero makes both sums zero.
        return first >= 1 + Slack && second >= 1 + Slack;
    }
}
