using Tva.Core.Checkpoints;

namespace Zoo.Evaluator;

/// <summary>A batch of grey 16×16 images comes in; each image's feature, its class token after the last layer norm, goes out.</summary>
/// <remarks>The network is described in examples/zoo/README.md, beside its checkpoints.</remarks>
internal sealed class Encoder
{
    /// <summary>Images in a batch: enough rows to reuse a weight once loaded, few enough for the second-level cache.</summary>
    public const int Batch = 8;

    /// <summary>Height and width of an image.</summary>
    public const int Side = 16;

    /// <summary>Numbers in a token, D.</summary>
    public const int Width = 64;

    /// <summary>The class token and one for each patch.</summary>
    public const int Tokens = 1 + (PatchesPerSide * PatchesPerSide);

    private const int PatchSide = 4;
    private const int PatchesPerSide = Side / PatchSide;
    private const int PatchPixels = PatchSide * PatchSide;
    private const int Hidden = 128;
    private const int Blocks = 4;

    private readonly float[] cls;
    private readonly float[] pos;
    private readonly Linear patch;
    private readonly Block[] blocks;
    private readonly LayerNorm ln;

    public Encoder(Checkpoint checkpoint)
    {
        cls = checkpoint.Floats("cls", Width);
        pos = checkpoint.Floats("pos", Tokens, Width);
        patch = new Linear(checkpoint, "patch", PatchPixels, Width);
        blocks = [.. Enumerable.Range(0, Blocks).Select(n => new Block(checkpoint, $"blocks.{n}"))];
        ln = new LayerNorm(checkpoint, "ln");
    }

    /// <summary>[images, 64] features of at most <see cref="Batch"/> images; they stay valid until the workspace is used again.</summary>
    public ReadOnlySpan<float> Run(ReadOnlySpan<byte> images, Workspace workspace)
    {
        var count = images.Length / (Side * Side);
        Embed(images, count, workspace);
        foreach (var block in blocks)
        {
            block.Apply(workspace);
        }

        for (var image = 0; image < count; image++)
        {
            workspace.X.AsSpan(image * Tokens * Width, Width).CopyTo(workspace.Features.AsSpan(image * Width));
        }

        var features = workspace.Features.AsSpan(0, count * Width);
        ln.Apply(features, features);
        return features;
    }

    /// <summary>Pixels to patches to tokens, with the class token in front and the positions added.</summary>
    private void Embed(ReadOnlySpan<byte> images, int count, Workspace workspace)
    {
        var patches = workspace.Patches.AsSpan();
        for (var i = 0; i < images.Length; i++)
        {
            var (image, pixel) = Math.DivRem(i, Side * Side);
            var (row, column) = Math.DivRem(pixel, Side);
            var index = (((image * PatchesPerSide) + (row / PatchSide)) * PatchesPerSide) + (column / PatchSide);
            patches[(index * PatchPixels) + (row % PatchSide * PatchSide) + (column % PatchSide)] = (images[i] - 128) / 64f;
        }

        // A row of zeros where the class token goes would be wasted: the patches' tokens are made apart and set in their places.
        patch.Apply(patches, workspace.Embedded);
        for (var image = 0; image < count; image++)
        {
            var tokens = workspace.X.AsSpan(image * Tokens * Width, Tokens * Width);
            cls.CopyTo(tokens);
            workspace.Embedded.AsSpan(image * (Tokens - 1) * Width, (Tokens - 1) * Width).CopyTo(tokens[Width..]);
            for (var i = 0; i < tokens.Length; i++)
            {
                tokens[i] += pos[i];
            }
        }
    }

    /// <summary>The buffers of one thread, for a whole batch; a short batch leaves old images in the rest, which nobody reads.</summary>
    public sealed class Workspace
    {
        internal float[] Patches { get; } = new float[Batch * (Tokens - 1) * PatchPixels];

        internal float[] Embedded { get; } = new float[Batch * (Tokens - 1) * Width];

        internal float[] X { get; } = new float[Batch * Tokens * Width];

        internal float[] Normed { get; } = new float[Batch * Tokens * Width];

        internal float[] Qkv { get; } = new float[Batch * Tokens * 3 * Width];

        internal float[] Hidden { get; } = new float[Batch * Tokens * Encoder.Hidden];

        internal float[] Scratch { get; } = new float[Attention.Scratch];

        internal float[] Features { get; } = new float[Batch * Width];
    }

    /// <summary>x += proj(attention(qkv(ln_1(x)))), then x += fc_proj(gelu(fc(ln_2(x)))).</summary>
    private sealed class Block(Checkpoint checkpoint, string name)
    {
        private readonly LayerNorm ln1 = new(checkpoint, $"{name}.ln_1");
        private readonly Linear qkv = new(checkpoint, $"{name}.qkv", Width, 3 * Width);
        private readonly Linear proj = new(checkpoint, $"{name}.proj", Width, Width);
        private readonly LayerNorm ln2 = new(checkpoint, $"{name}.ln_2");
        private readonly Linear fc = new(checkpoint, $"{name}.fc", Width, Hidden);
        private readonly Linear fcProj = new(checkpoint, $"{name}.fc_proj", Hidden, Width);

        public void Apply(Workspace workspace)
        {
            var normed = workspace.Normed;
            ln1.Apply(workspace.X, normed);
            qkv.Apply(normed, workspace.Qkv);
            for (var image = 0; image < Batch; image++)
            {
                Attention.Apply(
                    workspace.Qkv.AsSpan(image * Tokens * 3 * Width, Tokens * 3 * Width),
                    normed.AsSpan(image * Tokens * Width, Tokens * Width),
                    workspace.Scratch);
            }

            proj.Apply(normed, workspace.X, add: true);
            ln2.Apply(workspace.X, normed);
            fc.Apply(normed, workspace.Hidden);
            Activations.Gelu(workspace.Hidden);
            fcProj.Apply(workspace.Hidden, workspace.X, add: true);
        }
    }
}
