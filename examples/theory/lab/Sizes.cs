namespace Theory.Lab;

/// <summary>How large the data and the network are, and how they are trained: what the paper leaves free.</summary>
/// <param name="Dimension">Of a token, d.</param>
/// <param name="Hidden">Neurons, m; a multiple of 16, half of them with a positive output weight.</param>
/// <param name="Neutral">Neutral patterns v_1..v_M.</param>
/// <param name="Tokens">In an example, P.</param>
/// <param name="Relevant">Tokens with the sign of the label, δ_* P.</param>
/// <param name="Confusing">Tokens with the opposite sign, δ_# P.</param>
/// <param name="Batch">Examples in a step of SGD.</param>
/// <param name="Steps">Of SGD.</param>
/// <param name="Rate">The learning rate η.</param>
/// <param name="Initial">Standard deviation of the pretrained weights.</param>
/// <param name="Tests">Examples that a model is measured on.</param>
public sealed record Sizes(
    int Dimension = 72,
    int Hidden = 32,
    int Neutral = 64,
    int Tokens = 20,
    int Relevant = 6,
    int Confusing = 2,
    int Batch = 32,
    int Steps = 400,
    double Rate = 0.5,
    double Initial = 0.01,
    int Tests = 400);
