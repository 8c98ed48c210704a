// Copies an assembly and marks its static classes without a static constructor `beforefieldinit`: MarkClasses SOURCE DESTINATION
//
// The mark says when a static constructor may run, so without one it means nothing to the runtime. But crossgen2 compiles no generic static
// method of a class that lacks it ("CORINFO_HELP_INITINSTCLASS requires runtime JIT"), and F# marks no module: nearly all of List, Seq, Map
// and Set, some hundreds of methods, would be compiled anew at each start of the command.
using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;

if (args.Length != 2)
{
    Console.Error.WriteLine("usage: MarkClasses SOURCE DESTINATION");
    return 2;
}

const TypeAttributes isStatic = TypeAttributes.Abstract | TypeAttributes.Sealed;
byte[] bytes = File.ReadAllBytes(args[0]);
using var image = new PEReader(new MemoryStream((byte[])bytes.Clone()));
var metadata = image.GetMetadataReader();
int table = image.PEHeaders.MetadataStartOffset + metadata.GetTableMetadataOffset(TableIndex.TypeDef);
int row = metadata.GetTableRowSize(TableIndex.TypeDef);
foreach (var handle in metadata.TypeDefinitions)
{
    var type = metadata.GetTypeDefinition(handle);
    if ((type.Attributes & isStatic) == isStatic && !type.GetMethods().Any(IsConstructor))
    {
        // A row begins with its attributes, four bytes.
        int at = table + (row * (MetadataTokens.GetRowNumber(handle) - 1));
        BitConverter.TryWriteBytes(bytes.AsSpan(at, 4), (int)(type.Attributes | TypeAttributes.BeforeFieldInit));
    }
}

File.WriteAllBytes(args[1], bytes);
return 0;

bool IsConstructor(MethodDefinitionHandle method) => metadata.StringComparer.Equals(metadata.GetMethodDefinition(method).Name, ".cctor");
