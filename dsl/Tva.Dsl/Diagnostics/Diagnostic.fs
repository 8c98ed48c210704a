/// A finding at a place in a text, and how one is made.
namespace Tva.Dsl

type Severity =
    | Error
    | Warning

/// A finding at a place in a text. All of them are reported at once.
type Diagnostic =
    { Code: string
      Severity: Severity
      Span: Span
      Message: string
      Help: string option }

/// Makers of diagnostics from a code, a place, a message and the way out.
module internal DiagnosticParts =

    let make code span message help =
        { Code = $"TVA%04d{code}"; Severity = Error; Span = span; Message = message; Help = help }

    let warn code span message help = { make code span message help with Severity = Warning }

    let code (text: string) = $"`{text}`"
