/**
 * A snapshot in version 1 of the format, as base64. Every later version must restore it.
 */
export const firstSnapshot: string =
  'Y2FjaGUtbWFjaGluZQABAAEAAAAAAAAAcQAAAHEAAACR22+hWEQzcnsiY3JlYXRlZEF0IjoxNzk2MDIyMDk0MzY5LCJwYWNrYWdl' +
  'VmVyc2lvbiI6IjAuMS4wIiwiZW5naW5lIjoibmF0aXZlIiwibmFtZSI6ImFwcCIsIm5hbWVzcGFjZSI6IiIsImNvZGVjIjoiYXV0' +
  'byJ9AgEAAAEAAADeAAAAsAEAAItel4/Fd+Bmh9cAAICqqqrqn0XNXM3A7+pHAwe5ul/8ahcH96Mdzn5RcxFQMAdXcwAFNQcHcPCz' +
  'X/3uNz8c/X7ym6t1Zv2xlS2QCxZwWBzg3+4ZhsPHgW7qcYZOMExfZgAIQAkE34Ryu26/+jTOGRtZb/nqz5PWAAwAOzYeZV5I8ts4' +
  'xV6TNeq3NeGqYJFBuAqY4aUp/4xDSD6rUAFgTs+IsvSrINgjTAGrKzX+ZIoBNBmQrcH7EBIsrSNsla+mCd/3IfsQVJKKA7Y6JOWt' +
  'CEntKv9z6U96zHcehNvNmkcflVveiefHBAEAAAIAAACNAAAAsgAAAFnBcqbNyxV/h1gAAICqqqrq/3TnsxxUzc3NHOR0NbCDmoEY' +
  'uAK4qbqLqBqAm4K6wTW8+m7hggPuOIbBDrHjR6MbJBWNYuCJsP1Lgjk+BsIlajEn8Ex4Z413xucIKZxi37DLuEtDqucmuqYDBgif' +
  'eAh48eTWTl7Rk1tN1ORmEH41lwBuUDHRS45DW7wF7N34es5T72sf'
