namespace Tva.Core.Checkpoints;

/// <summary>
/// Comes in: a file and where in it a pickle begins. Goes out: where the pickle ends. Nothing is kept: only the lengths of opcodes are looked at.
/// </summary>
/// <remarks>Opcodes as in CPython's Lib/pickletools.py.</remarks>
internal static class PickleEnd
{
    /// <summary>The place behind the opcode that ends it, or behind one that isn't known, for whoever reads it to name.</summary>
    public static long Find(InputFile file, string what, long start, int most)
    {
        var cursor = new FileCursor(file, what, start, most);
        while (true)
        {
            switch (cursor.U8("an opcode"))
            {
                case (byte)'.':
                    return cursor.At;
                case (byte)'K' or (byte)'q' or (byte)'h' or 0x80:
                    cursor.Skip(1, "an opcode's argument");
                    break;
                case (byte)'M':
                    cursor.Skip(2, "an opcode's argument");
                    break;
                case (byte)'J' or (byte)'r' or (byte)'j':
                    cursor.Skip(4, "an opcode's argument");
                    break;
                case (byte)'G' or 0x95:
                    cursor.Skip(8, "an opcode's argument");
                    break;
                case 0x8A or 0x8C or (byte)'C' or (byte)'U':
                    cursor.Skip(cursor.U8("a length"), "a text");
                    break;
                case (byte)'X' or (byte)'B' or (byte)'T' or 0x8B:
                    cursor.Skip(cursor.U32("a length"), "a text");
                    break;
                case 0x8D or 0x8E or 0x96:
                    cursor.Skip(cursor.U64("a length"), "a text");
                    break;
                case (byte)'c':
                    Line(cursor);
                    Line(cursor);
                    break;
                case (byte)'(' or (byte)')' or (byte)'}' or (byte)']' or (byte)'N' or (byte)'t' or (byte)'a' or (byte)'e' or (byte)'s' or (byte)'u' or (byte)'R'
                    or (byte)'b' or (byte)'Q' or (byte)'0' or (byte)'1' or (byte)'2' or (byte)'l' or (byte)'d' or 0x81 or 0x85 or 0x86 or 0x87 or 0x88 or 0x89 or 0x8F
                    or 0x90 or 0x91 or 0x92 or 0x93 or 0x94:
                    break;
                default:
                    return cursor.At;
            }
        }
    }

    private static void Line(FileCursor cursor)
    {
        while (cursor.U8("a name") != (byte)'\n')
        {
        }
    }
}
