using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;
using Tva.Core.Bases;
using Tva.Core.Checkpoints;
using Tva.Core.Tensors;
using Xunit;

namespace Tva.Core.Tests;

/// <summary>Folders of bases put together by hand: what is read of whole ones, and how each kind of damage is told.</summary>
public sealed class BasisFolderTests : IDisposable
{
    private static readonly (string Name, Shape Shape)[] Tensors = [("a.0.w", new(4, 5)), ("a.1.b", new(3)), ("one", new()), ("none", new(0, 3))];
    private static readonly string[] Tasks = ["cat", "dog", "owl"];
    private readonly TempFolder temp = new();

    public void Dispose() => temp.Dispose();

    private string Folder => temp["basis"];

    private string Json => Path.Combine(Folder, "basis.json");

    [Theory]
    [InlineData("F32", false)]
    [InlineData("BF16", false)]
    [InlineData("I8", false)]
    [InlineData("F32", true)]
    [InlineData("I8", true)]
    public void AFolderIsReadAsItWasWritten(string type, bool mean)
    {
        Write(type, mean);
        Assert.True(BasisFolder.IsBasis(Folder));
        var basis = BasisFolder.Open(Folder);
        Assert.Equal((Folder, BasisMethod.Svd, "all"), (basis.Path, basis.Method, basis.By));
        Assert.Equal(Tasks, basis.Tasks);
        Assert.Equal(("f00", "models/base.safetensors"), (basis.BaseFingerprint, basis.BasePath));
        Assert.Equal([1, 2, 3], basis.Norms);
        Assert.Equal([0.25, 0.5, double.NaN], basis.RelativeErrors);
        Assert.Equal([0.75, 0.5, 0.25], basis.Cosines);
        Assert.Equal((0.125, 0.0625), (basis.Loss, basis.Bound));
        var group = Assert.Single(basis.Groups);
        Assert.Equal("", group.Label);
        Assert.Equal(new double[,] { { 1, 0, 0 }, { 0, 4, 0 }, { 0, 0, 9 } }, group.Gram);
        Assert.Equal(new double[,] { { 1, 2 }, { 3, 4 }, { 5, 6 } }, group.Encoder);
        Assert.Equal(mean ? new double[,] { { 1, 2, 3 }, { 4, 5, 6 }, { 1, 1, 1 } } : new double[,] { { 1, 2, 3 }, { 4, 5, 6 } }, group.Decoder);
        Assert.Equal(mean, basis.Mean is not null);
        Assert.Equal(2, basis.Atoms.Count);
        Assert.NotEqual(basis.Atoms[0].Fingerprint, basis.Atoms[1].Fingerprint);
        foreach (var (atom, m) in basis.Atoms.Select((a, m) => (a, m)))
        {
            Assert.Equal(Path.Combine(Folder, $"atom{m + 1}"), atom.Path);
            Assert.Equal(Tensors.Select(t => t.Name).Order(), atom.Tensors.Select(t => t.Name).Order());
            foreach (var (name, shape) in Tensors)
            {
                var info = atom.Find(name)!;
                Assert.Equal(shape, info.Shape);
                Assert.Equal(type == "BF16" ? DType.BF16 : DType.F32, info.DType);
                var rows = type == "I8" ? 4 * shape.Rows : 0;
                Assert.Equal((shape.Elements * (type switch { "F32" => 4, "BF16" => 2, _ => 1 })) + rows, atom.StoredBytes(info));
                Assert.Equal(Expected(type, name, shape, m), Read(atom, info, 0, info.Bytes));

                // Any part of it, rows or not.
                for (long from = 0; from < shape.Elements; from++)
                {
                    for (var to = from + 1; to <= shape.Elements; to++)
                    {
                        var size = info.DType.Size();
                        Assert.Equal(Expected(type, name, shape, m)[(int)from..(int)to], Read(atom, info, from * size, (to - from) * size));
                    }
                }
            }

            Assert.Null(atom.Find("other"));
        }

        if (basis.Mean is { } centre)
        {
            Assert.Equal(Expected("F32", "a.0.w", new(4, 5), 9), Read(centre, centre.Find("a.0.w")!, 0, 80));
            centre.Dispose();
        }

        foreach (var atom in basis.Atoms)
        {
            atom.Dispose();
            atom.Dispose();
        }
    }

    [Fact]
    public void WhatTheFolderDoesNotKnowIsNotThere()
    {
        Write("F32", false);
        foreach (var place in new[] { "groups.0.gram", "groups.0.encoder" })
        {
            Edit(place, "");
        }

        foreach (var place in new[] { "errors.cat.norm", "errors.cat.cosine", "loss", "bound" })
        {
            Edit(place, "null");
        }

        var basis = BasisFolder.Open(Folder);
        basis.Atoms[0].Dispose();
        Assert.Equal((null, null), (basis.Groups[0].Gram, basis.Groups[0].Encoder));
        Assert.Equal([double.NaN, 2, 3], basis.Norms);
        Assert.Equal([double.NaN, 0.5, 0.25], basis.Cosines);
        Assert.Equal((double.NaN, double.NaN), (basis.Loss, basis.Bound));
    }

    public static TheoryData<string, string, string, string> Damages => new()
    {
        { "no format", "format", "", "is not what tva writes" },
        { "another format", "format", "\"tva-basis 2\"", "is of format 'tva-basis 2', and this version reads 'tva-basis 1'" },
        { "format is null", "format", "null", "is of format" },
        { "format is a number", "format", "1", "is not what tva writes" },
        { "no tasks", "tasks", "[]", "tasks is empty" },
        { "task twice", "tasks", "[\"cat\",\"dog\",\"cat\"]", "tasks has 'cat' twice" },
        { "task is null", "tasks", "[\"cat\",null,\"owl\"]", "tasks holds a null" },
        { "task is a number", "tasks", "[\"cat\",1,\"owl\"]", "is not what tva writes" },
        { "tasks are a text", "tasks", "\"cat\"", "is not what tva writes" },
        { "unknown task", "tasks", "[\"cat\",\"dog\",\"cow\"]", "is not what tva writes" },
        { "no atoms", "atoms", "0", "says 0 atoms for 3 tasks" },
        { "fewer than none", "atoms", "-1", "says -1 atoms" },
        { "too many atoms", "atoms", "5", "says 5 atoms for 3 tasks" },
        { "more atoms than the file has", "atoms", "3", "and should be [3, ...]" },
        { "huge number of atoms", "atoms", "99999999999999999999", "is not what tva writes" },
        { "atoms is no integer", "atoms", "2.5", "is not what tva writes" },
        { "another dtype", "dtype", "\"BF16\"", "is F32, and basis.json says BF16" },
        { "dtype is null", "dtype", "null", "is F32, and basis.json says" },
        { "unknown method", "method", "\"magic\"", "knows no method magic" },
        { "method is null", "method", "null", "knows no method" },
        { "unknown extent", "by", "\"row\"", "`by` is row; it is all, layer or tensor" },
        { "extent is null", "by", "null", "`by` is" },
        { "no files", "files", "{}", "is not what tva writes" },
        { "file missing", "files.atoms.name", "\"gone.safetensors\"", "its atoms are in 'gone.safetensors', which is missing" },
        { "path upwards", "files.atoms.name", "\"../basis/atoms.safetensors\"", "'../basis/atoms.safetensors' is no name of a file in this folder" },
        { "path upwards, other slashes", "files.atoms.name", "\"..\\\\atoms.safetensors\"", "is no name of a file in this folder" },
        { "absolute path", "files.atoms.name", "\"/etc/passwd\"", "'/etc/passwd' is no name of a file in this folder" },
        { "two dots", "files.atoms.name", "\"..\"", "'..' is no name of a file" },
        { "nothing", "files.atoms.name", "\"\"", "is no name of a file" },
        { "null character", "files.atoms.name", "\"a\\u0000b\"", "is no name of a file" },
        { "name is null", "files.atoms.name", "null", "'' is no name of a file" },
        { "file is itself", "files.atoms.name", "\"basis.json\"", "basis.json" },
        { "fingerprint of another", "files.atoms.fingerprint", "\"00\"", "has changed since basis.json was written" },
        { "fingerprint is null", "files.atoms.fingerprint", "null", "has changed since basis.json was written" },
        { "no groups", "groups", "7", "is not what tva writes" },
        { "group is a number", "groups", "[7]", "is not what tva writes" },
        { "group without a label", "groups.0.label", "null", "a group has no label" },
        { "gram of two", "groups.0.gram", "[[1,0],[0,1]]", "gram has 2 rows, and should have 3" },
        { "gram with a short row", "groups.0.gram", "[[1,0,0],[0,1],[0,0,1]]", "row 1 of gram has 2 numbers, and should have 3" },
        { "gram with a text", "groups.0.gram", "[[1,0,0],[0,\"x\",0],[0,0,1]]", "is not what tva writes" },
        { "gram beyond doubles", "groups.0.gram", "[[1,0,0],[0,1e999,0],[0,0,1]]", "gram[1][1] is 1e999, beyond any that a basis has" },
        { "gram that is not symmetric", "groups.0.gram", "[[1,0.5,0],[0,4,0],[0,0,9]]", "gram[0][1] is 0.5, which no vectors give" },
        { "gram with a negative square", "groups.0.gram", "[[1,0,0],[0,-4,0],[0,0,9]]", "gram[1][1] is -4, which no vectors give" },
        { "gram is null", "groups.0.gram", "null", "is not what tva writes" },
        { "encoder is null", "groups.0.encoder", "null", "is not what tva writes" },
        { "wide encoder", "groups.0.encoder", "[[1,2,3],[1,2,3],[1,2,3]]", "row 0 of encoder has 3 numbers, and should have 2" },
        { "high decoder", "groups.0.decoder", "[[1,2,3],[1,2,3],[1,1,1]]", "decoder has 3 rows, and should have 2" },
        { "decoder with null", "groups.0.decoder", "[[1,2,3],[1,null,3]]", "is not what tva writes" },
        { "decoder beyond doubles", "groups.0.decoder", "[[1,2,3],[1,-1e999,3]]", "decoder[1][1] is -1e999, beyond any that a basis has" },
        { "decoder beyond float32", "groups.0.decoder", "[[1,2,3],[1,4e38,3]]", "decoder[1][1] is 4e38, beyond any that a basis has" },
        { "no errors", "errors", "{}", "is not what tva writes" },
        { "norm is a text", "errors.cat.norm", "\"big\"", "is not what tva writes" },
        { "base is a text", "base", "\"here\"", "is not what tva writes" },
        { "loss is an object", "loss", "{}", "is not what tva writes" },
    };

    [Theory]
    [MemberData(nameof(Damages))]
    public void EachKindOfDamageIsTold(string name, string place, string value, string message)
    {
        Write("F32", false);
        Edit(place, value);
        var e = Assert.Throws<FaultException>(() => BasisFolder.Open(Folder));
        Assert.True(e.Message.Contains(message, StringComparison.Ordinal), $"{name}: {e.Message}");
        Assert.Contains(Folder, e.Message);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("\"text\"")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("{\"format\": \"tva-basis 1\"} x")]
    public void AFileThatIsNoBasisIsTold(string text)
    {
        Write("F32", false);
        File.WriteAllText(Json, text);
        Assert.Contains(Json, Assert.Throws<FaultException>(() => BasisFolder.Open(Folder)).Message);
    }

    [Fact]
    public void EveryCutOfTheFileIsTold()
    {
        Write("I8", true);
        var whole = File.ReadAllBytes(Json);
        for (var length = 0; length < whole.Length - 1; length += 7)
        {
            File.WriteAllBytes(Json, whole[..length]);
            Assert.Contains(Json, Assert.Throws<FaultException>(() => BasisFolder.Open(Folder)).Message);
        }

        File.WriteAllText(Json, new string('[', 1_000_000));
        Assert.Throws<FaultException>(() => BasisFolder.Open(Folder));
    }

    [Fact]
    public void ChangedAndDamagedTensorsAreTold()
    {
        foreach (var file in new[] { "atoms", "scales", "mean" })
        {
            var path = Path.Combine(Folder, file + ".safetensors");
            Write("I8", true);
            var whole = File.ReadAllBytes(path);
            var changed = (byte[])whole.Clone();
            changed[^1] ^= 1;
            File.WriteAllBytes(path, changed);
            Assert.Contains($"{path}: has changed since basis.json was written", Assert.Throws<FaultException>(() => BasisFolder.Open(Folder)).Message);
            File.WriteAllBytes(path, whole[..^1]);
            Assert.Contains(path, Assert.Throws<FaultException>(() => BasisFolder.Open(Folder)).Message);
            File.Delete(path);
            var e = Assert.Throws<FaultException>(() => BasisFolder.Open(Folder));
            Assert.Contains($"its {file} are in '{file}.safetensors', which is missing", e.Message);
            Directory.CreateDirectory(path);
            Assert.Throws<FaultException>(() => BasisFolder.Open(Folder));
            Directory.Delete(path);
        }
    }

    [Fact]
    public void TensorsOfOtherShapesAreTold()
    {
        Write("I8", false);
        Stack("scales", "F32", 2, Tensors.Skip(1).Select(t => (t.Name, Rows(t.Shape))));
        Resign();
        Assert.Contains("lacks the scales of a.0.w, F32 [2, 4]", Assert.Throws<FaultException>(() => BasisFolder.Open(Folder)).Message);
        Stack("scales", "F32", 2, Tensors.Select(t => (t.Name, new Shape(t.Shape.Rows + 1))));
        Resign();
        Assert.Contains("lacks the scales of", Assert.Throws<FaultException>(() => BasisFolder.Open(Folder)).Message);
        Stack("scales", "BF16", 2, Tensors.Select(t => (t.Name, Rows(t.Shape))));
        Resign();
        Assert.Contains("lacks the scales of", Assert.Throws<FaultException>(() => BasisFolder.Open(Folder)).Message);
        Write("F32", false);
        Stack("atoms", "F32", 1, Tensors);
        Resign();
        Assert.Contains("and should be [2, ...]", Assert.Throws<FaultException>(() => BasisFolder.Open(Folder)).Message);
        Write("F32", true);
        Stack("mean", "F32", 2, Tensors);
        Resign();
        Assert.Contains("and should be [1, ...]", Assert.Throws<FaultException>(() => BasisFolder.Open(Folder)).Message);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void DamageAtRandomIsAFaultOrNone(int seed)
    {
        Write(seed % 2 == 0 ? "I8" : "F32", seed > 2);
        var whole = File.ReadAllBytes(Json);
        string[] pieces = ["null", "0", "-1", "1e999", "1e308", "\"\"", "[]", "{}", "[", "]", "{", "}", ",", ":", "\"", "true", "\\u0000", "\\ud800", "\"..\"", "9999999999"];
        var random = new Random(seed);
        for (var round = 0; round < 700; round++)
        {
            var bytes = whole.ToList();
            for (var n = random.Next(1, 4); n > 0; n--)
            {
                var at = random.Next(bytes.Count);
                switch (random.Next(4))
                {
                    case 0:
                        bytes[at] = (byte)random.Next(256);
                        break;
                    case 1:
                        bytes.RemoveRange(at, Math.Min(random.Next(1, 20), bytes.Count - at));
                        break;
                    case 2:
                        bytes.InsertRange(at, Encoding.UTF8.GetBytes(pieces[random.Next(pieces.Length)]));
                        break;
                    default:
                        var from = random.Next(whole.Length);
                        bytes.InsertRange(at, whole[from..Math.Min(whole.Length, from + random.Next(40))]);
                        break;
                }
            }

            Try([.. bytes], $"seed {seed}, round {round}");
        }

        // Values of every place in turn.
        foreach (var place in Places(JsonNode.Parse(whole)!, ""))
        {
            foreach (var value in new[] { "", "null", "0", "-3", "1e999", "1e308", "2.5", "\"x\"", "\"\"", "[]", "{}", "true", "[null]", "[[]]", "\"\\ud800\"", "\"a\\u0000\"" })
            {
                File.WriteAllBytes(Json, whole);
                Edit(place, value);
                Try(File.ReadAllBytes(Json), $"{place} = {value}");
            }
        }
    }

    private void Try(byte[] json, string what)
    {
        File.WriteAllBytes(Json, json);
        try
        {
            var basis = BasisFolder.Open(Folder);
            foreach (var atom in basis.Atoms)
            {
                foreach (var t in atom.Tensors)
                {
                    Read(atom, t, 0, t.Bytes);
                }
            }

            basis.Mean?.Dispose();
            basis.Atoms[0].Dispose();
        }
        catch (FaultException)
        {
        }
        catch (Exception e)
        {
            Assert.Fail($"{what}: {e}\n{Encoding.UTF8.GetString(json)}");
        }
    }

    private static IEnumerable<string> Places(JsonNode? node, string path)
    {
        var children = node switch
        {
            JsonObject o => o.Select(p => (p.Key, p.Value)),
            JsonArray a => a.Select((v, i) => (i.ToString(CultureInfo.InvariantCulture), v)),
            _ => [],
        };
        foreach (var (key, value) in children)
        {
            var place = path + (path == "" ? "" : ".") + key;
            yield return place;
            foreach (var below in Places(value, place))
            {
                yield return below;
            }
        }
    }

    /// <summary>Puts a value, as JSON, where the path leads; an empty one takes the place away.</summary>
    private void Edit(string place, string value)
    {
        var root = JsonNode.Parse(File.ReadAllText(Json))!;
        var parts = place.Split('.');
        var node = root;
        foreach (var part in parts[..^1])
        {
            node = node is JsonArray a ? a[int.Parse(part, CultureInfo.InvariantCulture)]! : node[part]!;
        }

        // As a text, for numbers that no double holds.
        const string Mark = "\"@@@\"";
        if (node is JsonArray list)
        {
            list[int.Parse(parts[^1], CultureInfo.InvariantCulture)] = "@@@";
        }
        else if (value == "")
        {
            node.AsObject().Remove(parts[^1]);
        }
        else
        {
            node[parts[^1]] = "@@@";
        }

        File.WriteAllText(Json, root.ToJsonString().Replace(Mark, value == "" ? "null" : value, StringComparison.Ordinal));
    }

    /// <summary>The files' fingerprints as they are now.</summary>
    private void Resign()
    {
        foreach (var kind in new[] { "atoms", "scales", "mean" })
        {
            var path = Path.Combine(Folder, kind + ".safetensors");
            if (File.ReadAllText(Json).Contains($"\"{kind}\":{{", StringComparison.Ordinal) && File.Exists(path))
            {
                using var c = Checkpoint.Open(path);
                Edit($"files.{kind}.fingerprint", $"\"{c.Fingerprint}\"");
            }
        }
    }

    private static Shape Rows(Shape shape) => new(shape.Rows);

    private void Write(string type, bool mean)
    {
        Directory.CreateDirectory(Folder);
        foreach (var old in Directory.GetFiles(Folder))
        {
            File.Delete(old);
        }

        var files = new List<string> { "atoms" };
        Stack("atoms", type, 2, Tensors);
        if (type == "I8")
        {
            files.Add("scales");
            Stack("scales", "F32", 2, Tensors.Select(t => (t.Name, Rows(t.Shape))));
        }

        if (mean)
        {
            files.Add("mean");
            Stack("mean", "F32", 1, Tensors, 9);
        }

        var entries = files.Select(kind =>
        {
            using var c = Checkpoint.Open(Path.Combine(Folder, kind + ".safetensors"));
            return $$"""
                "{{kind}}":{"name":"{{kind}}.safetensors","fingerprint":"{{c.Fingerprint}}"}
                """;
        });
        File.WriteAllText(Json, $$$"""
            {"format":"tva-basis 1","method":"svd","by":"all","atoms":2,"tasks":["cat","dog","owl"],"options":{"M":"2"},
            "base":{"path":"models/base.safetensors","fingerprint":"f00"},"dtype":"{{{type}}}","files":{{{{string.Join(",", entries)}}}},
            "errors":{"cat":{"norm":1,"relative_error":0.25,"cosine":0.75},"dog":{"norm":2,"relative_error":0.5,"cosine":0.5},
            "owl":{"norm":3,"relative_error":null,"cosine":0.25}},"loss":0.125,"bound":0.0625,"bytes_given":1,"bytes_kept":1,
            "groups":[{"label":"","gram":[[1,0,0],[0,4,0],[0,0,9]],"encoder":[[1,2],[3,4],[5,6]],"decoder":[[1,2,3],[4,5,6]{{{(mean ? ",[1,1,1]" : "")}}}]}],
            "expression":"basis(tasks, 2)","version":"0.1.0"}
            """);
    }

    /// <summary>A file of stacked tensors whose numbers are <see cref="Value"/>.</summary>
    private void Stack(string kind, string type, int parts, IEnumerable<(string Name, Shape Shape)> tensors, int first = 0)
    {
        Assert.True(DTypes.TryParse(type, out var dtype));
        (string Name, DType DType, Shape Shape)[] list = [.. tensors.Select(t => (t.Name, dtype, new Shape([parts, .. t.Shape.Dims])))];
        using var writer = new CheckpointWriter(Path.Combine(Folder, kind + ".safetensors"), list, Plans.NoMetadata);
        for (var t = 0; t < list.Length; t++)
        {
            var each = list[t].Shape.Elements / parts;
            for (long i = 0; i < list[t].Shape.Elements; i++)
            {
                var value = Value(kind == "scales" ? "scale" : list[t].Name, i % each, first + (int)(i / each));
                byte[] bytes = type switch
                {
                    "F32" => BitConverter.GetBytes(value),
                    "BF16" => BitConverter.GetBytes((ushort)(BitConverter.SingleToUInt32Bits(value) >> 16)),
                    _ => [(byte)(sbyte)value],
                };
                writer.Write(t, i * bytes.Length, bytes);
            }
        }

        writer.Commit();
    }

    /// <summary>Small integers, which every type holds.</summary>
    private static float Value(string tensor, long i, int part) => ((i * 7) + (part * 31) + (tensor.Length * 5)) % 100 - 50;

    private static float[] Expected(string type, string name, Shape shape, int part) =>
    [
        .. Enumerable.Range(0, (int)shape.Elements).Select(i =>
            Value(name, i, part) * (type == "I8" ? Value("scale", i / (int)shape.RowLength, part) : 1)),
    ];

    private static float[] Read(Checkpoint checkpoint, TensorInfo info, long offset, long bytes)
    {
        var buffer = new byte[bytes];
        checkpoint.Read(info, offset, buffer);
        return info.DType == DType.BF16
            ? [.. MemoryMarshal.Cast<byte, ushort>(buffer).ToArray().Select(x => BitConverter.UInt32BitsToSingle((uint)x << 16))]
            : MemoryMarshal.Cast<byte, float>(buffer).ToArray();
    }
}
