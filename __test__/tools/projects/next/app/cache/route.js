import { visits } from '../../visits.js'

export const dynamic = 'force-dynamic'

export async function GET() {
  try {
    return Response.json({ visits: visits() })
  } catch ({ code, message, hint }) {
    return Response.json({ code, message, hint })
  }
}
