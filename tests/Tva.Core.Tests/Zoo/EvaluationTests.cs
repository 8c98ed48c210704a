using System.Diagnostics;
using System.Numerics;
using System.Text.Json;
using Xunit;
using Zoo.Evaluator;

namespace Tva.Core.Tests;

/// <summary>The zoo's checkpoints come in; the evaluator's accuracies are held against those PyTorch measured.</summary>
public class EvaluationTests
{
    private const double TwoImages = 2.0 / 512;
    private static readonly string Zoo = Evaluation.FindZoo();
    private static readonly JsonElement Measured = JsonDocument.Parse(File.ReadAllText(Path.Combine(Zoo, "results.json"))).RootElement;

    public static TheoryData<string> Tasks => [.. Measured.GetProperty("fine_tuned").EnumerateObject().Select(p => p.Name)];

    [Fact]
    public void The_base_scores_as_measured_on_every_task()
    {
        var accuracies = Evaluation.Run(Path.Combine(Zoo, "base.safetensors"), Evaluation.Load(Zoo, "test"));

        Assert.Equal(Measured.GetProperty("zero_shot").EnumerateObject().Select(p => p.Name).Order(), accuracies.Select(a => a.Task).Order());
        Assert.All(accuracies, a =>
            Assert.Equal(Measured.GetProperty("zero_shot").GetProperty(a.Task).GetDouble(), a.Accuracy, TwoImages));
    }

    [Theory]
    [MemberData(nameof(Tasks))]
    public void A_fine_tuned_model_scores_as_measured_on_its_task(string task)
    {
        var model = Path.Combine(Zoo, "tasks", task + ".safetensors");

        var (name, accuracy) = Assert.Single(Evaluation.Run(model, Evaluation.Load(Zoo, "test", task)));

        Assert.Equal(task, name);
        Assert.Equal(Measured.GetProperty("fine_tuned").GetProperty(task).GetDouble(), accuracy, TwoImages);
    }

    [Fact]
    public void The_error_function_is_within_3e_7()
    {
        for (var x = -7f; x < 7f; x += 0.001f)
        {
            Assert.Equal(ErfReference(x), Activations.Erf(new Vector<float>(x))[0], 3e-7);
        }

        Assert.Equal(1f, Activations.Erf(new Vector<float>(float.PositiveInfinity))[0]);
        Assert.Equal(-1f, Activations.Erf(new Vector<float>(float.NegativeInfinity))[0]);
        Assert.Equal(0f, Activations.Erf(Vector<float>.Zero)[0]);
    }

    [Fact]
    public void The_program_prints_one_object_of_numbers_wherever_it_is_started()
    {
        var (status, output, error) = RunProgram(Path.Combine(Zoo, "base.safetensors"), "--split", "val");

        Assert.Equal((0, ""), (status, error));
        Assert.Single(output.TrimEnd('\n').Split('\n'));
        var accuracies = JsonDocument.Parse(output).RootElement.EnumerateObject().ToArray();
        Assert.Equal(8, accuracies.Length);
        Assert.All(accuracies, a => Assert.InRange(a.Value.GetDouble(), 0.05, 1));
    }

    [Fact]
    public void The_program_says_on_stderr_what_is_wrong()
    {
        var missing = RunProgram("/nowhere/model.safetensors");
        Assert.Equal((1, ""), (missing.Status, missing.Output));
        Assert.Contains("/nowhere/model.safetensors", missing.Error);

        var notThisNetwork = RunProgram(Path.Combine(Zoo, "heads.safetensors"));
        Assert.Equal((1, ""), (notThisNetwork.Status, notThisNetwork.Output));
        Assert.Contains("'cls'", notThisNetwork.Error);
    }

    private static (int Status, string Output, string Error) RunProgram(params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo("dotnet", [typeof(Evaluation).Assembly.Location, .. arguments])
        {
            WorkingDirectory = Path.GetTempPath(),
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.GetAwaiter().GetResult());
    }

    // In float64: the Maclaurin series below 2.5, beyond it the continued fraction of erfc, e^(-x²)/√π · 1/(x + ½/(x + 1/(x + 3/2/(x + …)))).
    private static double ErfReference(double x)
    {
        var magnitude = Math.Abs(x);
        if (magnitude < 2.5)
        {
            double term = x, sum = x;
            for (var n = 1; n < 100; n++)
            {
                term *= -x * x / n;
                sum += term / ((2 * n) + 1);
            }

            return 2 / Math.Sqrt(Math.PI) * sum;
        }

        var fraction = magnitude;
        for (var n = 200; n >= 1; n--)
        {
            fraction = magnitude + (n / 2.0 / fraction);
        }

        return Math.Sign(x) * (1 - (Math.Exp(-x * x) / Math.Sqrt(Math.PI) / fraction));
    }
}
