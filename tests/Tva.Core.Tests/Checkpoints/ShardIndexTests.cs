using Tva.Core.Checkpoints;
using Xunit;

namespace Tva.Core.Tests;

public sealed class ShardIndexTests : IDisposable
{
    private const string Name = "model.safetensors.index.json";
    private readonly TempFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_index_and_its_shards_are_one_checkpoint(bool byFolder)
    {
        folder.Put("s1.safetensors", """{"__metadata__":{"k":"first","a":"1"},"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}""", 1, 2);
        folder.Put("s2.safetensors", """{"__metadata__":{"k":"second","b":"2"},"y":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 3);
        folder.PutTensors("consolidated.safetensors", "x"); // not in the index, so not part of it
        string index = Index("""{"metadata":{"total_size":3,"deep":[{}]},"weight_map":{"y":"s2.safetensors","x":"s1.safetensors"}}""");
        using var checkpoint = Checkpoint.Open(byFolder ? folder.Path : index);
        Assert.Equal(["x", "y"], checkpoint.Tensors.Select(t => t.Name));
        Assert.Equal([folder["s1.safetensors"], folder["s2.safetensors"]], checkpoint.Files);
        Assert.Equal([("a", "1"), ("b", "2"), ("k", "first")], checkpoint.Metadata.Select(p => (p.Key, p.Value)).Order());
        var read = new byte[1];
        checkpoint.Read(checkpoint.Find("y")!, 0, read);
        Assert.Equal(3, read[0]);
        checkpoint.Read(checkpoint.Find("x")!, 1, read);
        Assert.Equal(2, read[0]);
        Assert.Equal(byFolder ? folder.Path : index, checkpoint.Path);
    }

    [Fact]
    public void Missing_shards_are_listed_all_at_once()
    {
        File.CreateSymbolicLink(folder["s3.safetensors"], "not-fetched-yet");
        folder.PutTensors("s1.safetensors", "x");
        Refuse("""{"weight_map":{"x":"s1.safetensors","y":"s2.safetensors","z":"s3.safetensors"}}""",
            "2 of its 3 shards are missing: 's2.safetensors', 's3.safetensors'");
    }

    [Fact]
    public void A_tensor_that_its_shard_lacks_is_refused()
    {
        folder.PutTensors("s1.safetensors", "x");
        Refuse("""{"weight_map":{"x":"s1.safetensors","gone":"s1.safetensors"}}""", "1 tensors are not in the shard it names: 'gone'");
    }

    [Fact]
    public void A_tensor_in_another_shard_than_named_is_refused()
    {
        folder.PutTensors("s1.safetensors", "x");
        folder.PutTensors("s2.safetensors", "y");
        Refuse("""{"weight_map":{"x":"s2.safetensors","y":"s1.safetensors"}}""", "2 tensors are not in the shard it names: 'x', 'y'");
    }

    [Fact]
    public void Tensors_that_the_index_misses_are_listed_up_to_ten()
    {
        folder.PutTensors("s1.safetensors", [.. Enumerable.Range(0, 13).Select(i => $"t{i:00}")]);
        Refuse("""{"weight_map":{"t00":"s1.safetensors"}}""", "12 tensors of the shards are not in it: 't01', 't02'", "'t10' and 2 more");
    }

    [Fact]
    public void A_tensor_in_two_shards_is_refused()
    {
        folder.PutTensors("s1.safetensors", "x", "y");
        folder.PutTensors("s2.safetensors", "y");
        Refuse("""{"weight_map":{"x":"s1.safetensors","y":"s2.safetensors"}}""", "'y' is both in");
    }

    [Theory]
    [InlineData("../s.safetensors")]
    [InlineData("sub/../../s.safetensors")]
    [InlineData("..\\\\s.safetensors")]
    [InlineData("/etc/s.safetensors")]
    [InlineData("")]
    [InlineData("a\\u0000b")]
    [InlineData(".")]
    public void A_shard_outside_the_folder_is_refused(string shard) =>
        Refuse($$$"""{"weight_map":{"x":"{{{shard}}}"}}""", "names shards outside its folder");

    [Fact]
    public void A_link_out_of_the_folder_is_refused()
    {
        using var elsewhere = new TempFolder();
        File.CreateSymbolicLink(folder["s.safetensors"], elsewhere.PutTensors("secret.safetensors", "x"));
        Refuse("""{"weight_map":{"x":"s.safetensors"}}""", "names shards outside its folder: 's.safetensors'");
    }

    [Fact]
    public void A_linked_subfolder_that_leads_out_is_refused()
    {
        using var elsewhere = new TempFolder();
        elsewhere.PutTensors("s.safetensors", "x");
        Directory.CreateSymbolicLink(folder["sub"], elsewhere.Path);
        File.CreateSymbolicLink(folder["s.safetensors"], "sub/s.safetensors");
        Refuse("""{"weight_map":{"x":"sub/s.safetensors"}}""", "names shards outside");
        Refuse("""{"weight_map":{"x":"s.safetensors"}}""", "names shards outside");
    }

    [Fact]
    public void Shards_in_a_subfolder_and_links_within_the_folder_are_fine()
    {
        folder.PutTensors("parts/s.safetensors", "x");
        File.CreateSymbolicLink(folder["s.safetensors"], "parts/s.safetensors");
        using var direct = Checkpoint.Open(Index("""{"weight_map":{"x":"parts/s.safetensors"}}"""));
        using var linked = Checkpoint.Open(Index("""{"weight_map":{"x":"s.safetensors"}}"""));
        Assert.Equal(direct.Fingerprint, linked.Fingerprint);
    }

    [Fact]
    public void A_hugging_face_cache_opens()
    {
        folder.PutTensors("models--o--m/blobs/0a1b", "x");
        folder.Put("models--o--m/blobs/2c3d", """{"weight_map":{"x":"model-1.safetensors"}}"""u8.ToArray());
        string snapshot = folder["models--o--m/snapshots/f00"];
        Directory.CreateDirectory(snapshot);
        File.CreateSymbolicLink(Path.Combine(snapshot, "model-1.safetensors"), "../../blobs/0a1b");
        File.CreateSymbolicLink(Path.Combine(snapshot, Name), "../../blobs/2c3d");
        using var checkpoint = Checkpoint.Open(snapshot);
        Assert.NotNull(checkpoint.Find("x"));
    }

    [Theory]
    [InlineData("[]", "not a JSON object")]
    [InlineData("{", "not valid JSON")]
    [InlineData("", "not valid JSON")]
    [InlineData("""{"weight_map":{"x":"s.safetensors"}} x""", "not valid JSON")]
    [InlineData("""{"weight_map":{"\udc00":"s.safetensors"}}""", "not valid JSON")]
    [InlineData("{}", "has no weight_map")]
    [InlineData("""{"weight_map":{}}""", "has no weight_map")]
    [InlineData("""{"weight_map":[]}""", "weight_map is not an object")]
    [InlineData("""{"weight_map":{"x":"s"},"weight_map":{"x":"s"}}""", "weight_map is there twice")]
    [InlineData("""{"weight_map":{"x":1}}""", "'x': its shard is not a text")]
    [InlineData("""{"weight_map":{"x":"a","x":"b"}}""", "'x' is in the weight_map twice")]
    public void A_damaged_index_is_refused(string text, string expected) => Refuse(text, expected);

    private string Index(string text) => folder.Put(Name, System.Text.Encoding.UTF8.GetBytes(text));

    private void Refuse(string text, params string[] expected)
    {
        string index = Index(text);
        var fault = Assert.Throws<FaultException>(() => Checkpoint.Open(index));
        Assert.StartsWith(index, fault.Message);
        Assert.All(expected, part => Assert.Contains(part, fault.Message));
    }
}
