using Tva.Core.Adapters;
using Xunit;

namespace Tva.Core.Tests;

public sealed class AdapterConfigTests : IDisposable
{
    private readonly TempFolder folder = new();

    public void Dispose() => folder.Dispose();

    /// <summary>PEFT: the first key of which <c>(.*\.)?(KEY)$</c> matches the name from its start; else the default.</summary>
    [Theory]
    [InlineData("q_proj", "model.layers.0.q_proj", true)]
    [InlineData("q_proj", "q_proj", true)]
    [InlineData("q_proj", "model.layers.0.xq_proj", false)]
    [InlineData("q_proj", "model.q_proj.inner", false)]
    [InlineData("layers.0.q_proj", "model.layers.0.q_proj", true)]
    [InlineData("layers.0.q_proj", "model.layers.10.q_proj", false)]
    [InlineData("layers.0", "model.layersx0", true)]
    [InlineData("^model.layers.0.q_proj", "model.layers.0.q_proj", true)]
    [InlineData("^layers.0.q_proj", "model.layers.0.q_proj", false)]
    [InlineData(@"layers\.\d+\.q_proj", "model.layers.31.q_proj", true)]
    [InlineData("q_proj|v_proj", "model.layers.0.v_proj", true)]
    [InlineData(".*up.*", "model.layers.0.up_proj", true)]
    public void PatternsAreMatchedAsPeftMatchesThem(string key, string module, bool matches)
    {
        var config = Read($$"""{"r": 8, "lora_alpha": 16, "rank_pattern": { {{Text(key)}}: 2 }, "alpha_pattern": { {{Text(key)}}: 5 } }""");
        Assert.Equal(matches ? 2 : 8, config.RankOf(module));
        Assert.Equal(matches ? 2.5 : 2, config.ScaleOf(module));
    }

    [Fact]
    public void TheFirstPatternCounts()
    {
        var config = Read("""{"r": 4, "rank_pattern": {"x.q": 1, "q": 2, "layers.0.q": 3}}""");
        Assert.Equal(2, config.RankOf("layers.0.q"));
        Assert.Equal(1, config.RankOf("x.q"));
    }

    [Fact]
    public void ScaleOfRankStabilizedAdapters()
    {
        var config = Read("""{"r": 16, "lora_alpha": 8, "use_rslora": true, "rank_pattern": {"k": 4}}""");
        Assert.Equal(8 / 4.0, config.ScaleOf("q"));
        Assert.Equal(8 / 2.0, config.ScaleOf("k"));
    }

    [Fact]
    public void PeftsDefaults()
    {
        var config = Read("{}");
        Assert.Equal((8, 8.0, false, false), (config.Rank, config.Alpha, config.IsStabilized, config.IsTransposed));
    }

    /// <summary>A pattern that takes exponential time elsewhere.</summary>
    [Fact]
    public void HostilePatternsTakeLinearTime() =>
        Assert.Equal(8, Read("""{"r": 8, "rank_pattern": {"(a+)+b": 2}}""").RankOf(new string('a', 5000)));

    private static string Text(string key) => System.Text.Json.JsonSerializer.Serialize(key);

    private AdapterConfig Read(string json) => AdapterConfig.Read(folder.Put("adapter_config.json", System.Text.Encoding.UTF8.GetBytes(json)));
}
