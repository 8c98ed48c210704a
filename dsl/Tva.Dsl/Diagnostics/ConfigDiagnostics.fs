/// What can be wrong with configurations of other tools (09xx), each declared once with its code.
namespace Tva.Dsl

open Tva.Dsl.DiagnosticParts

/// Makers of diagnostics about what is imported.
module ConfigDiagnostics =

    let syntax span (what: string) = make 901 span $"this is no YAML: {what}" None

    let tab span = make 901 span "this is no YAML: a line is indented with a tab" (Some "YAML is indented with spaces")

    /// A key that mergekit would pass over in silence: an error where it looks like a slip of one that means something.
    let key span (place: string) (key: string) known =
        match Suggest.nearest key known with
        | Some k -> make 902 span $"{place} has no {code key}" (Some $"did you mean `{k}`?")
        | None -> warn 911 span $"{place} has no {code key}: it has no effect" (Some $"{place} takes {Suggest.listing known}")

    let twice span (key: string) = make 903 span $"{code key} stands here twice" (Some "keep one of them")

    let wrongType span (what: string) (wanted: string) (found: string) =
        make 904 span $"{code what} is {wanted}, and this is {found}" None

    let missing span (place: string) (key: string) help = make 905 span $"{place} needs {code key}" (Some help)

    let choice span (what: string) (value: string) known =
        let help =
            match Suggest.nearest value known with
            | Some k -> $"did you mean {k}?"
            | None -> $"choose among {Suggest.listing known}"
        make 906 span $"there is no {what} {code value}" (Some help)

    /// What can't be a merge at all, there or here.
    let sense span (what: string) help = make 907 span what (Some help)

    /// What the other tool does and a script can't; the script has it as a comment.
    let inexpressible span (what: string) help = warn 910 span what (Some help)

    /// What stands in the configuration and has no effect, there or here.
    let ignored span (what: string) help = warn 911 span what (Some help)

    /// What the configuration alone does not tell.
    let assumed span (what: string) help = warn 912 span what (Some help)
