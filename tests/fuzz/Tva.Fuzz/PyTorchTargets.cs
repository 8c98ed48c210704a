using Tva.Core.Tests;

namespace Tva.Fuzz;

/// <summary>Zip archives of PyTorch: the fields of their records, then bytes anywhere; the pickle stays good.</summary>
public sealed class ZipTarget(string folder) : Target(folder)
{
    private static readonly byte[][] Good = [.. Pickles.Good.Select(p => PyTorchArchive.Of(p, new byte[24], new byte[8])),
        new PyTorchArchive().Add("x/data.pkl", Pickles.Good[0], wide: true).Add("x/data/0", new byte[24], wide: true).Add("x/data/1", new byte[8]).Bytes(wide: false)];

    /// <summary>Fields of a record by its third and fourth letter: where, and how wide.</summary>
    private static readonly Dictionary<(byte, byte), (int At, int Width)[]> Fields = new()
    {
        [(3, 4)] = [(6, 2), (8, 2), (18, 4), (22, 4), (26, 2), (28, 2)],
        [(1, 2)] = [(8, 2), (10, 2), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (42, 4), (46, 4)],
        [(5, 6)] = [(4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)],
        [(6, 6)] = [(4, 8), (16, 4), (20, 4), (24, 8), (32, 8), (40, 8), (48, 8)],
        [(6, 7)] = [(4, 4), (8, 8), (16, 4)],
    };

    public override byte[] Make(Random random)
    {
        var file = Good[random.Next(Good.Length)].ToArray();
        var records = new List<int>();
        for (int i = 0; i + 4 <= file.Length; i++)
        {
            if (file[i] == 'P' && file[i + 1] == 'K' && Fields.ContainsKey((file[i + 2], file[i + 3])))
            {
                records.Add(i);
            }
        }

        for (int k = random.Next(1, 4); k > 0; k--)
        {
            int record = records[random.Next(records.Count)];
            var fields = Fields[(file[record + 2], file[record + 3])];
            var (at, width) = fields[random.Next(fields.Length)];
            if (record + at + width > file.Length)
            {
                continue;
            }

            if (random.Next(3) == 0)
            {
                file[record + at + random.Next(width)] += (byte)random.Next(-4, 5);
            }
            else
            {
                Bits.Write(random, file, record + at, width);
            }
        }

        return random.Next(4) == 0 ? Bits.Damage(random, file) : file;
    }

    public override bool Run(byte[] input) => Use(Put("x.pt", input));
}

/// <summary>Pickles in a good archive: opcodes lost, repeated, moved, taken from other pickles, their arguments changed.</summary>
public sealed class PickleTarget(string folder) : Target(folder)
{
    public override byte[] Make(Random random) => Pickles.Damage(random);

    public override bool Run(byte[] input) => Use(Put("x.pt", PyTorchArchive.Of(input, new byte[24], new byte[8])));
}

/// <summary>PyTorch files of the older form: their pickles changed as others are, then the storages' lengths, then bytes anywhere.</summary>
public sealed class LegacyTarget(string folder) : Target(folder)
{
    private static readonly byte[] Magic = new PickleBytes().Raw(0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19).Stop();
    private static readonly byte[] Version = new PickleBytes().Int(1001).Stop();
    private static readonly byte[] Facts = new PickleBytes().Op("}(").Text("protocol_version").Int(1001).Text("little_endian").Raw(0x88).Op('u').Stop();
    private static readonly byte[] Keys = new PickleBytes().Op("](").Text("0").Text("1").Op('e').Stop();

    public override byte[] Make(Random random)
    {
        var value = random.Next(4) == 0 ? Pickles.Good[random.Next(Pickles.Good.Length)] : Pickles.Damage(random);
        var keys = random.Next(6) == 0 ? Pickles.Damage(random, Keys) : Keys;
        byte[] storages = [6, .. new byte[7 + 24], 4, .. new byte[7 + 8]];
        if (random.Next(6) == 0)
        {
            Bits.Write(random, storages, random.Next(2) * 32, 8);
        }

        byte[] file = [.. Magic, .. random.Next(20) == 0 ? Pickles.Damage(random, Version) : Version, .. random.Next(20) == 0 ? Pickles.Damage(random, Facts) : Facts,
            .. value, .. keys, .. storages];
        return random.Next(6) == 0 ? Bits.Damage(random, file) : file;
    }

    public override bool Run(byte[] input) => Use(Put("x.pt", input));
}
